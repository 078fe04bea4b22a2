//! Reads chosen stretches of partitions, outside of any group's life: nothing is joined, nothing is committed.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
    metadata::{MetadataPartition, MetadataTopic},
};

use super::{FaultKind, KafkaFault, client::KafkaClient, headers::record_of, watcher::Watcher};
use crate::Record;

/// How long Kafka may take to answer one question.
const ANSWERS: Duration = Duration::from_secs(10);

/// Between two questions to a coordinator that is on its way.
const AGAIN: Duration = Duration::from_millis(100);

/// What one call of [`LogReader::read`] has found.
#[derive(Debug)]
pub(crate) enum Read {
    /// A record, in the order of its partition.
    Record(Record),
    /// This partition has no records left before its end.
    Ended(i32),
    /// Nothing for now.
    Nothing,
}

/// A part of one partition: `begin` belongs to it, `end` does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub(crate) partition: i32,
    pub(crate) begin: i64,
    pub(crate) end: i64,
}

/// A consumer of one topic, with partitions of its own choice.
pub(crate) struct LogReader {
    consumer: BaseConsumer<Watcher>,
    topic: Arc<str>,
    /// Where each partition that is still read ends.
    ends: HashMap<i32, i64>,
    paused: BTreeSet<i32>,
}

impl LogReader {
    /// A reader of `topic` that may ask for the committed offsets of `group`, which it never joins.
    ///
    /// # Errors
    /// A configuration that Kafka's client refuses.
    pub(crate) fn open(client: &KafkaClient, group: &str, topic: &Arc<str>) -> Result<Self, KafkaFault> {
        let mut config = client.reader();
        config.set("group.id", group);
        config.set("enable.partition.eof", "true");
        let consumer = config.create_with_context(Watcher::default())?;
        Ok(Self { consumer, topic: Arc::clone(topic), ends: HashMap::new(), paused: BTreeSet::new() })
    }

    /// The numbers of the topic's partitions; `None` where there is no such topic.
    ///
    /// # Errors
    /// Nobody answers.
    pub(crate) fn partitions(&self) -> Result<Option<BTreeSet<i32>>, KafkaFault> {
        let metadata = self.consumer.fetch_metadata(Some(&self.topic), ANSWERS)?;
        let is_it = |found: &&MetadataTopic| found.name() == &*self.topic && found.error().is_none();
        let numbers = |found: &MetadataTopic| found.partitions().iter().map(MetadataPartition::id).collect();
        let numbers: Option<BTreeSet<i32>> = metadata.topics().iter().find(is_it).map(numbers);
        Ok(numbers.filter(|numbers| !numbers.is_empty()))
    }

    /// The first offset in the log, and the one after the last that can be read.
    ///
    /// # Errors
    /// Nobody answers.
    pub(crate) fn log(&self, partition: i32) -> Result<(i64, i64), KafkaFault> {
        Ok(self.consumer.fetch_watermarks(&self.topic, partition, ANSWERS)?)
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
        offsets(&self.consumer.offsets_for_times(asked, ANSWERS)?)
    }

    /// The offsets that the group has committed.
    ///
    /// # Errors
    /// Nobody answers.
    pub(crate) fn committed(&self, partitions: &BTreeSet<i32>) -> Result<BTreeMap<i32, i64>, KafkaFault> {
        let mut asked = TopicPartitionList::new();
        for partition in partitions {
            asked.add_partition(&self.topic, *partition);
        }
        let until = Instant::now() + ANSWERS;
        loop {
            match self.consumer.committed_offsets(asked.clone(), ANSWERS) {
                // The first group of a cluster makes Kafka create the topic of the offsets.
                Err(error) if is_on_its_way(&error) && Instant::now() < until => std::thread::sleep(AGAIN),
                answer => return offsets(&answer?),
            }
        }
    }

    /// Moves the committed offsets of the group. Kafka itself sees to it that a group with members is left alone: the
    /// answer is `false` then, and nothing has moved.
    ///
    /// # Errors
    /// Nobody answers, or lets us.
    pub(crate) fn commit(&self, offsets: &[(i32, i64)]) -> Result<bool, KafkaFault> {
        use RDKafkaErrorCode::{
            FencedMemberEpoch, IllegalGeneration, RebalanceInProgress, StaleMemberEpoch, UnknownMemberId,
        };
        let mut moved = TopicPartitionList::new();
        for (partition, offset) in offsets {
            moved.add_partition_offset(&self.topic, *partition, Offset::Offset(*offset))?;
        }
        let busy =
            [UnknownMemberId, IllegalGeneration, RebalanceInProgress, StaleMemberEpoch, FencedMemberEpoch];
        match self.consumer.commit(&moved, CommitMode::Sync) {
            Ok(()) => Ok(true),
            Err(error) if error.rdkafka_error_code().is_some_and(|code| busy.contains(&code)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Begins to read these stretches. Those without an offset are over already.
    ///
    /// # Errors
    /// Kafka's client refuses one of them.
    pub(crate) fn begin(&mut self, stretches: &[Stretch]) -> Result<(), KafkaFault> {
        let mut assigned = TopicPartitionList::new();
        for Stretch { partition, begin, end } in
            stretches.iter().filter(|stretch| stretch.begin < stretch.end)
        {
            assigned.add_partition_offset(&self.topic, *partition, Offset::Offset(*begin))?;
            self.ends.insert(*partition, *end);
        }
        Ok(self.consumer.assign(&assigned)?)
    }

    /// Waits up to `patience` for something to happen.
    ///
    /// # Errors
    /// What Kafka's client says; it goes on by itself, except where records of the range were deleted.
    pub(crate) fn read(&mut self, patience: Duration) -> Result<Read, KafkaFault> {
        let Some(polled) = self.consumer.poll(patience) else { return Ok(Read::Nothing) };
        let over = match polled {
            Ok(message) => match self.ends.get(&message.partition()) {
                Some(end) if message.offset() < *end => {
                    return Ok(Read::Record(record_of(&message, &self.topic)));
                }
                _ => message.partition(),
            },
            // Ends are frozen before anything is read, so the end of the log lies behind that of the stretch.
            Err(KafkaError::PartitionEOF(partition)) => partition,
            Err(KafkaError::MessageConsumption(RDKafkaErrorCode::AutoOffsetReset)) => {
                let gone = "records of the range were deleted while it was read";
                return Err(KafkaFault::new(FaultKind::Misconfigured, gone));
            }
            Err(error) => return Err(error.into()),
        };
        if self.ends.remove(&over).is_none() {
            return Ok(Read::Nothing);
        }
        self.consumer.pause(&self.only(over))?;
        Ok(Read::Ended(over))
    }

    /// Stops fetching a partition for a while.
    ///
    /// # Errors
    /// It is none of ours.
    pub(crate) fn pause(&mut self, partition: i32) -> Result<(), KafkaFault> {
        if self.paused.insert(partition) {
            self.consumer.pause(&self.only(partition))?;
        }
        Ok(())
    }

    /// Fetches it again.
    ///
    /// # Errors
    /// It is none of ours.
    pub(crate) fn resume(&mut self, partition: i32) -> Result<(), KafkaFault> {
        if self.paused.remove(&partition) && self.ends.contains_key(&partition) {
            self.consumer.resume(&self.only(partition))?;
        }
        Ok(())
    }

    /// Whether every stretch has been read to its end.
    pub(crate) fn is_finished(&self) -> bool {
        self.ends.is_empty()
    }

    fn only(&self, partition: i32) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        list.add_partition(&self.topic, partition);
        list
    }
}

/// Whether the group's coordinator will be there in a moment.
fn is_on_its_way(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{CoordinatorLoadInProgress, CoordinatorNotAvailable, NotCoordinator};
    let code = error.rdkafka_error_code();
    code.is_some_and(|code| {
        [NotCoordinator, CoordinatorNotAvailable, CoordinatorLoadInProgress].contains(&code)
    })
}

/// Those partitions for which there is an answer.
fn offsets(answer: &TopicPartitionList) -> Result<BTreeMap<i32, i64>, KafkaFault> {
    let mut offsets = BTreeMap::new();
    for element in answer.elements() {
        element.error()?;
        if let Offset::Offset(offset) = element.offset() {
            offsets.insert(element.partition(), offset);
        }
    }
    Ok(offsets)
}

impl fmt::Debug for LogReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogReader")
            .field("topic", &self.topic)
            .field("ends", &self.ends)
            .finish_non_exhaustive()
    }
}
