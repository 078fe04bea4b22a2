//! Reads chosen stretches of partitions, outside of any group's life: nothing is joined, nothing is committed.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
};

use super::{
    FaultKind, KafkaFault,
    client::KafkaClient,
    headers::record_of,
    log_answers,
    seen_end::seen_end,
    stretch::{Place, Short, Stretch},
    watcher::Watcher,
};
use crate::Record;

/// How long Kafka may take to answer one question.
pub(super) const ANSWERS: Duration = Duration::from_secs(10);
/// So long the broker that is read from may be behind, before the leader is asked what has become of the rest.
const BEHIND: Duration = Duration::from_secs(10);

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

/// A consumer of one topic, with partitions of its own choice.
pub(crate) struct LogReader {
    pub(super) consumer: BaseConsumer<Watcher>,
    pub(super) topic: Arc<str>,
    /// Those that are still read.
    places: HashMap<i32, Place>,
    pub(super) config: ClientConfig,
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
        let (topic, places, paused) = (Arc::clone(topic), HashMap::new(), BTreeSet::new());
        Ok(Self { consumer, topic, places, config, paused })
    }

    /// Begins to read these stretches. Those without an offset are over already.
    ///
    /// # Errors
    /// Kafka's client refuses one of them.
    pub(crate) fn begin(&mut self, stretches: &[Stretch]) -> Result<(), KafkaFault> {
        let mut assigned = TopicPartitionList::new();
        for stretch in stretches.iter().filter(|stretch| stretch.begin < stretch.end) {
            let Stretch { partition, begin, .. } = *stretch;
            assigned.add_partition_offset(&self.topic, partition, Offset::Offset(begin))?;
            self.places.insert(partition, Place { stretch: *stretch, next: begin, short: None });
        }
        Ok(self.consumer.assign(&assigned)?)
    }

    /// Waits up to `patience` for something to happen.
    ///
    /// # Errors
    /// What Kafka's client says; it goes on by itself, except where records of the range were deleted.
    pub(crate) fn read(&mut self, patience: Duration) -> Result<Read, KafkaFault> {
        let Some(polled) = self.consumer.poll(patience) else {
            self.catch_up()?;
            return Ok(Read::Nothing);
        };
        let over = match polled {
            Ok(message) => match self.places.get_mut(&message.partition()) {
                Some(place) if message.offset() < place.stretch.end => {
                    place.next = message.offset() + 1;
                    return Ok(Read::Record(record_of(&message, &self.topic)));
                }
                _ => message.partition(),
            },
            // Ends are frozen before anything is read, but whoever is read from may not have so much yet.
            Err(KafkaError::PartitionEOF(partition)) => match self.places.get_mut(&partition) {
                Some(place) if !place.is_over() => {
                    place.short.get_or_insert(Short::Since(Instant::now()));
                    return Ok(Read::Nothing);
                }
                _ => partition,
            },
            Err(KafkaError::MessageConsumption(RDKafkaErrorCode::AutoOffsetReset)) => {
                let gone = "records of the range were deleted before they were read: order a new one for what is left";
                return Err(KafkaFault::new(FaultKind::Misconfigured, gone));
            }
            Err(KafkaError::MessageConsumption(
                RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::UnknownPartition,
            )) => {
                let gone = format!("topic {}, or a partition of it, is not there any more", self.topic);
                return Err(KafkaFault::new(FaultKind::Misconfigured, gone));
            }
            Err(error) => return Err(error.into()),
        };
        if self.places.remove(&over).is_none() {
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
        if self.paused.remove(&partition) && self.places.contains_key(&partition) {
            self.consumer.resume(&self.only(partition))?;
        }
        Ok(())
    }

    /// Whether every stretch has been read to its end.
    pub(crate) fn is_finished(&self) -> bool {
        self.places.is_empty()
    }

    /// Where a broker had less than there was, sees whether it has it all by now.
    fn catch_up(&mut self) -> Result<(), KafkaFault> {
        for (partition, place) in &mut self.places {
            let Some(Short::Since(since)) = place.short else { continue };
            let Stretch { end, log_end, .. } = place.stretch;
            if seen_end(self.consumer.client(), &self.topic, *partition).is_some_and(|seen| log_end <= seen) {
                // What is on its way may be from before.
                let mut next = TopicPartitionList::new();
                next.add_partition_offset(&self.topic, *partition, Offset::Offset(place.next))?;
                log_answers::offsets(&self.consumer.seek_partitions(next, ANSWERS)?)?;
                place.short = Some(Short::FetchedAnew);
            } else if since.elapsed() > BEHIND {
                let (_, now) = log_answers::watermarks(&self.consumer, &self.topic, *partition)?;
                if now < end {
                    let gone =
                        format!("partition {partition} ends at offset {now}, and ended at {end} before");
                    return Err(KafkaFault::new(FaultKind::Misconfigured, gone));
                }
                place.stretch.log_end = log_end.min(now);
                place.short = Some(Short::Since(Instant::now()));
            }
        }
        Ok(())
    }

    fn only(&self, partition: i32) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        list.add_partition(&self.topic, partition);
        list
    }
}

impl fmt::Debug for LogReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogReader")
            .field("topic", &self.topic)
            .field("places", &self.places)
            .finish_non_exhaustive()
    }
}
