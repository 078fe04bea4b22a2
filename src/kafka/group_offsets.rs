//! How far a group is, by the brokers' word: nothing is joined, nothing is committed.

use std::{
    fmt,
    time::{Duration, Instant},
};

use rdkafka::{
    TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
};

use super::{FaultKind, KafkaClient, KafkaFault, log_answers, log_reader::ANSWERS, watcher::Watcher};

/// A broker that says no does so within this time, also one that has just made the topic of its offsets.
const SAYS_NO: Duration = Duration::from_secs(3);
const A_MOMENT: Duration = Duration::from_millis(250);

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

    /// Why this user may not read as the group, if that is so. Blocks until somebody has said it, or for some seconds.
    pub(crate) fn refusal(&self, topic: &str) -> Option<KafkaFault> {
        let mut asked = TopicPartitionList::new();
        asked.add_partition(topic, 0);
        let until = Instant::now() + SAYS_NO;
        while Instant::now() < until {
            let answer = self.consumer.committed_offsets(asked.clone(), A_MOMENT);
            // Whoever may not even know who coordinates the group learns that from an event alone.
            let event = answer.as_ref().is_err().then(|| self.consumer.poll(Duration::ZERO)).flatten();
            let event = event.and_then(Result::err).map(KafkaFault::from);
            match answer.map_err(KafkaFault::from) {
                Ok(_) => return None,
                Err(fault) => {
                    if let Some(no) =
                        event.into_iter().chain([fault]).find(|it| it.kind == FaultKind::Refused)
                    {
                        return Some(no);
                    }
                }
            }
        }
        None
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
