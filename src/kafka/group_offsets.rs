//! How far a group is, by the brokers' word: nothing is joined, nothing is committed.

use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, Instant},
};

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    metadata::MetadataTopic,
};

use super::{
    FaultKind, KafkaClient, KafkaFault,
    log_answers::{Places, places, within},
    log_reader::ANSWERS,
    watcher::Watcher,
};

/// How long all brokers together may take to say where their logs end.
const ENDS: Duration = Duration::from_secs(15);
const NOBODY: i32 = -1;
/// A broker that says no does so within this time, also one that has just made the topic of its offsets.
const SAYS_NO: Duration = Duration::from_secs(3);
const A_MOMENT: Duration = Duration::from_millis(250);

/// A client that asks about the topics of one group.
pub(crate) struct GroupOffsets {
    consumer: BaseConsumer<Watcher>,
    watcher: Watcher,
    brokers: String,
}

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GroupOffset {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    /// What the group has committed, if anything.
    pub(crate) committed: Option<i64>,
    /// Where the log ends.
    pub(crate) end: Option<i64>,
    /// Why one of the two is not known, if so.
    pub(crate) unknown: Option<String>,
}

/// Partitions by topic and number, with the brokers that lead them.
type Led = BTreeMap<(String, i32), i32>;

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
        let watcher = Watcher::default();
        let consumer = config.create_with_context(watcher.clone())?;
        Ok(Self { consumer, watcher, brokers: client.brokers.clone() })
    }

    /// Why this user may not read as the group, if that is so. Blocks until somebody has said it, or for some seconds.
    pub(crate) fn refusal(&self, topic: &str) -> Option<KafkaFault> {
        let mut asked = TopicPartitionList::new();
        asked.add_partition(topic, 0);
        let until = Instant::now() + SAYS_NO;
        while Instant::now() < until {
            let answer = self.consumer.committed_offsets(asked.clone(), A_MOMENT);
            // Whoever may not even know who coordinates the group learns that from an event alone.
            let event = answer.as_ref().is_err().then(|| self.consumer.poll(A_MOMENT)).flatten();
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

    /// All partitions of those topics that are wanted, by topic and number. What one broker does not tell is missing for
    /// its partitions alone. Blocks.
    ///
    /// # Errors
    /// Nobody answers.
    pub(crate) fn of(&self, is_wanted: impl Fn(&str) -> bool) -> Result<Vec<GroupOffset>, KafkaFault> {
        let led = self.led(is_wanted)?;
        let (committed, ends) = (self.committed(&led), self.ends(&led));
        let offset = |(place, leader): ((String, i32), i32)| {
            let (end, unled) = match ends.get(&leader) {
                None => (None, Some("no broker leads it".to_owned())),
                Some(Err(why)) => {
                    (None, Some(format!("broker {leader}, which leads it, does not tell: {why}")))
                }
                Some(Ok(ends)) => (ends.get(&place).copied(), None),
            };
            let (committed, untold) = match &committed {
                Ok(committed) => (committed.get(&place).copied(), None),
                Err(why) => (None, Some(format!("what the group has committed is not told: {why}"))),
            };
            let (topic, partition) = place;
            GroupOffset { topic, partition, committed, end, unknown: unled.or(untold) }
        };
        Ok(led.into_iter().map(offset).collect())
    }

    fn led(&self, is_wanted: impl Fn(&str) -> bool) -> Result<Led, KafkaFault> {
        let began = Instant::now();
        let explain = |error| self.watcher.explain(error, &self.brokers, began.elapsed());
        let metadata = self.consumer.fetch_metadata(None, ANSWERS).map_err(explain)?;
        let is_wanted = |topic: &&MetadataTopic| topic.error().is_none() && is_wanted(topic.name());
        let led = metadata.topics().iter().filter(is_wanted).flat_map(|topic| {
            let place = |id| (topic.name().to_owned(), id);
            topic.partitions().iter().map(move |partition| (place(partition.id()), partition.leader()))
        });
        Ok(led.collect())
    }

    /// In one question, whatever the number of topics.
    fn committed(&self, led: &Led) -> Result<Places, String> {
        if led.is_empty() {
            return Ok(Places::new());
        }
        let mut asked = TopicPartitionList::new();
        for (topic, partition) in led.keys() {
            asked.add_partition(topic, *partition);
        }
        let committed = within(ANSWERS, || places(&self.consumer.committed_offsets(asked.clone(), ANSWERS)?));
        committed.map_err(|fault| fault.to_string())
    }

    /// Where the logs end, by the broker that leads them: each is asked once.
    fn ends(&self, led: &Led) -> BTreeMap<i32, Result<Places, String>> {
        let mut asked: BTreeMap<i32, TopicPartitionList> = BTreeMap::new();
        let mut ends = BTreeMap::new();
        for ((topic, partition), leader) in led.iter().filter(|(_, leader)| **leader != NOBODY) {
            let list = asked.entry(*leader).or_default();
            // In a question about times this one is that of the end.
            if let Err(error) = list.add_partition_offset(topic, *partition, Offset::End) {
                ends.insert(*leader, Err(error.to_string()));
            }
        }
        let until = Instant::now() + ENDS;
        for (leader, list) in asked {
            let left = until.saturating_duration_since(Instant::now()).min(ANSWERS);
            let told = within(left, || places(&self.consumer.offsets_for_times(list.clone(), left)?));
            ends.entry(leader).or_insert_with(|| told.map_err(|fault| fault.to_string()));
        }
        ends
    }
}

impl fmt::Debug for GroupOffsets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupOffsets").finish_non_exhaustive()
    }
}
