//! How far a group is, by the brokers' word: nothing is joined, nothing is committed.

use std::fmt;

use rdkafka::consumer::{BaseConsumer, Consumer};

use super::{KafkaClient, KafkaFault, log_answers, log_reader::ANSWERS, watcher::Watcher};

/// A client that asks about the topics of one group.
pub(crate) struct GroupOffsets {
    consumer: BaseConsumer<Watcher>,
}

/// One partition: its number, what the group has committed, if anything, and where the log ends.
pub(crate) type GroupOffset = (i32, Option<i64>, i64);

impl GroupOffsets {
    /// A client that names `group` to the brokers.
    ///
    /// # Errors
    /// A configuration that Kafka's client refuses.
    pub(crate) fn open(client: &KafkaClient, group: &str) -> Result<Self, KafkaFault> {
        let mut config = client.reader();
        config.set("group.id", group);
        // Records of transactions that have not ended are to come, too.
        config.set("isolation.level", "read_uncommitted");
        Ok(Self { consumer: config.create_with_context(Watcher::default())? })
    }

    /// All partitions of a topic, by their numbers; none where there is no such topic. Blocks.
    ///
    /// # Errors
    /// Nobody answers.
    pub(crate) fn of(&self, topic: &str) -> Result<Vec<GroupOffset>, KafkaFault> {
        let Some(partitions) = log_answers::partitions(&self.consumer, topic)? else {
            return Ok(Vec::new());
        };
        let committed = log_answers::committed(&self.consumer, topic, &partitions)?;
        let place = |partition: i32| {
            let (_, end) = self.consumer.fetch_watermarks(topic, partition, ANSWERS)?;
            Ok((partition, committed.get(&partition).copied(), end))
        };
        partitions.into_iter().map(place).collect()
    }
}

impl fmt::Debug for GroupOffsets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupOffsets").finish_non_exhaustive()
    }
}
