//! What Kafka is asked about a log and about the group that reads it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    metadata::{MetadataPartition, MetadataTopic},
};

use super::{
    KafkaFault,
    log_reader::{ANSWERS, LogReader},
    topic_ids::topic_id,
    watcher::Watcher,
};

/// Between two questions to a coordinator that is on its way.
const AGAIN: Duration = Duration::from_millis(100);

impl LogReader {
    /// The numbers of the topic's partitions; `None` where there is no such topic.
    ///
    /// # Errors
    /// Nobody answers.
    pub(crate) fn partitions(&self) -> Result<Option<BTreeSet<i32>>, KafkaFault> {
        partitions(&self.consumer, &self.topic)
    }

    /// The id that the topic was given when it was made; `None` where the brokers do not tell.
    pub(crate) fn topic_id(&self) -> Option<String> {
        topic_id(self.consumer.client(), &self.topic, ANSWERS)
    }

    /// The first offset in the log, and the one after the last that can be read.
    ///
    /// # Errors
    /// Nobody answers.
    pub(crate) fn log(&self, partition: i32) -> Result<(i64, i64), KafkaFault> {
        watermarks(&self.consumer, &self.topic, partition)
    }

    /// For each partition the offset after the last in the log, records of transactions that have not ended included.
    ///
    /// # Errors
    /// Nobody answers.
    pub(crate) fn log_ends(&self, partitions: &BTreeSet<i32>) -> Result<BTreeMap<i32, i64>, KafkaFault> {
        let mut config = self.config.clone();
        config.set("isolation.level", "read_uncommitted");
        let consumer: BaseConsumer<Watcher> = config.create_with_context(Watcher::default())?;
        let end = |partition: &i32| Ok((*partition, watermarks(&consumer, &self.topic, *partition)?.1));
        partitions.iter().map(end).collect()
    }

    /// For each partition the first offset whose record is of this time or younger, in milliseconds since 1970;
    /// none where every record is older.
    ///
    /// # Errors
    /// Nobody answers.
    pub(crate) fn at(&self, partitions: &BTreeSet<i32>, time: i64) -> Result<BTreeMap<i32, i64>, KafkaFault> {
        let mut asked = TopicPartitionList::new();
        for partition in partitions {
            asked.add_partition_offset(&self.topic, *partition, Offset::Offset(time.max(0)))?;
        }
        patiently(|| told(&self.consumer.offsets_for_times(asked.clone(), ANSWERS)?))
    }

    /// The offsets that the group has committed.
    ///
    /// # Errors
    /// Nobody answers.
    pub(crate) fn committed(&self, partitions: &BTreeSet<i32>) -> Result<BTreeMap<i32, i64>, KafkaFault> {
        committed(&self.consumer, &self.topic, partitions)
    }

    /// Moves the committed offsets of the group, of any topics, all in one request. Kafka itself sees to it that a group with members is left alone: the
    /// answer is `false` then, and nothing has moved.
    ///
    /// # Errors
    /// Nobody answers, or lets us.
    pub(crate) fn commit(&self, offsets: &[(&str, i32, i64)]) -> Result<bool, KafkaFault> {
        use RDKafkaErrorCode::{
            FencedMemberEpoch, IllegalGeneration, RebalanceInProgress, StaleMemberEpoch, UnknownMemberId,
        };
        let mut moved = TopicPartitionList::new();
        for (topic, partition, offset) in offsets {
            moved.add_partition_offset(topic, *partition, Offset::Offset(*offset))?;
        }
        let busy =
            [UnknownMemberId, IllegalGeneration, RebalanceInProgress, StaleMemberEpoch, FencedMemberEpoch];
        match self.consumer.commit(&moved, CommitMode::Sync) {
            Ok(()) => Ok(true),
            Err(error) if error.rdkafka_error_code().is_some_and(|code| busy.contains(&code)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// The numbers of a topic's partitions; `None` where there is no such topic.
pub(super) fn partitions(
    consumer: &BaseConsumer<Watcher>,
    topic: &str,
) -> Result<Option<BTreeSet<i32>>, KafkaFault> {
    let metadata = consumer.fetch_metadata(Some(topic), ANSWERS)?;
    let is_it = |found: &&MetadataTopic| found.name() == topic && found.error().is_none();
    let numbers = |found: &MetadataTopic| found.partitions().iter().map(MetadataPartition::id).collect();
    let numbers: Option<BTreeSet<i32>> = metadata.topics().iter().find(is_it).map(numbers);
    Ok(numbers.filter(|numbers| !numbers.is_empty()))
}

/// The offsets that the group of this consumer has committed.
pub(super) fn committed(
    consumer: &BaseConsumer<Watcher>,
    topic: &str,
    partitions: &BTreeSet<i32>,
) -> Result<BTreeMap<i32, i64>, KafkaFault> {
    let mut asked = TopicPartitionList::new();
    for partition in partitions {
        asked.add_partition(topic, *partition);
    }
    patiently(|| told(&consumer.committed_offsets(asked.clone(), ANSWERS)?))
}

/// The first offset in a log, and the one after the last that can be read.
pub(super) fn watermarks(
    consumer: &BaseConsumer<Watcher>,
    topic: &str,
    partition: i32,
) -> Result<(i64, i64), KafkaFault> {
    patiently(|| consumer.fetch_watermarks(topic, partition, ANSWERS))
}

/// Asks again while whoever knows the answer is on its way.
fn patiently<T>(ask: impl FnMut() -> KafkaResult<T>) -> Result<T, KafkaFault> {
    within(ANSWERS, ask)
}

/// The same for no longer than `patience`.
pub(super) fn within<T>(
    patience: Duration,
    mut ask: impl FnMut() -> KafkaResult<T>,
) -> Result<T, KafkaFault> {
    let until = Instant::now() + patience;
    loop {
        match ask() {
            Err(error) if is_on_its_way(&error) && Instant::now() < until => std::thread::sleep(AGAIN),
            answer => return Ok(answer?),
        }
    }
}

/// Whether the group's coordinator or the partition's leader will be there in a moment. The first group of a cluster makes
/// Kafka create the topic of the offsets; and after a broker or this client has stood still, one of them may know less of
/// who leads than the other.
fn is_on_its_way(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{
        CoordinatorLoadInProgress, CoordinatorNotAvailable, FencedLeaderEpoch, LeaderNotAvailable,
        NotCoordinator, NotLeaderForPartition, OffsetNotAvailable, UnknownLeaderEpoch, UnknownPartition,
    };
    let code = error.rdkafka_error_code();
    let coordinator = [NotCoordinator, CoordinatorNotAvailable, CoordinatorLoadInProgress];
    let leader = [
        NotLeaderForPartition,
        LeaderNotAvailable,
        UnknownLeaderEpoch,
        FencedLeaderEpoch,
        OffsetNotAvailable,
        UnknownPartition,
    ];
    code.is_some_and(|code| coordinator.contains(&code) || leader.contains(&code))
}

/// Those partitions for which there is an answer.
pub(super) fn offsets(answer: &TopicPartitionList) -> Result<BTreeMap<i32, i64>, KafkaFault> {
    Ok(told(answer)?)
}

fn told(answer: &TopicPartitionList) -> KafkaResult<BTreeMap<i32, i64>> {
    Ok(places(answer)?.into_iter().map(|((_, partition), offset)| (partition, offset)).collect())
}

/// Offsets by topic and partition.
pub(super) type Places = BTreeMap<(String, i32), i64>;

/// The same of several topics.
pub(super) fn places(answer: &TopicPartitionList) -> KafkaResult<Places> {
    let mut offsets = BTreeMap::new();
    for element in answer.elements() {
        element.error()?;
        if let Offset::Offset(offset) = element.offset() {
            offsets.insert((element.topic().to_owned(), element.partition()), offset);
        }
    }
    Ok(offsets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_by_itself_is_asked_again_and_nothing_else() {
        use RDKafkaErrorCode::{TopicAuthorizationFailed, UnknownLeaderEpoch};
        let answer = |code, least: usize| {
            let mut asked = 0;
            let answer = patiently(|| {
                asked += 1;
                if asked < least { Err(KafkaError::MetadataFetch(code)) } else { Ok(()) }
            });
            (answer.is_ok(), asked)
        };
        assert_eq!(answer(UnknownLeaderEpoch, 3), (true, 3));
        assert_eq!(answer(TopicAuthorizationFailed, 3), (false, 1));
    }
}
