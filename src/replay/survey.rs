//! A dry run: reads the range, asks what is known of every event, and changes nothing.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

use serde::Serialize;
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::{
    Order, Part, Tally,
    judge::{Judge, Judged, Verdict},
    order::Containment,
    plan::{Plan, TopicPlan},
};
use crate::{
    Record,
    kafka::{KafkaFault, Read},
    pipeline::Topic,
    store::StoreFault,
};

/// Records that are asked about in one round trip.
const CHUNK: usize = 500;
/// Records shown of each verdict.
const SAMPLE: usize = 5;
/// How long one look at Kafka waits.
const LOOK: Duration = Duration::from_millis(100);

/// So many events that would run are told from their repeats: more of them would take more memory than a live worker
/// can spare.
const TOLD_APART: usize = 2_000_000;

/// What a dry run has found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Survey {
    /// By partition.
    pub parts: Vec<Part>,
    /// Offsets behind transactions that have not ended: what is there can be told when they have.
    pub open: i64,
    /// There are more events that would run than can be told from their repeats: no more than these would.
    pub at_most: bool,
    /// Of the events that would run, those that the live group has passed: they were forgotten on purpose, or should not
    /// have been.
    pub passed: u64,
    /// For how long the store knows what has ended: the least of all.
    #[serde(skip)]
    pub remembered: Option<Duration>,
    /// The earliest few records of each verdict.
    pub samples: BTreeMap<Verdict, Vec<Sample>>,
}

/// A record of which something is said. The earlier is the lesser.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Sample {
    /// Its time, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<i64>,
    /// Physical name.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
}

/// Why a range could not be looked at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum SurveyError {
    #[error("interrupted")]
    Interrupted,
    #[error("Kafka: {0}")]
    Kafka(#[from] KafkaFault),
    #[error("the dedupe store: {0}")]
    Store(#[from] StoreFault),
    #[error("{0}")]
    Ledger(String),
}

impl Survey {
    /// All partitions together.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let mut all = Tally::default();
        self.parts.iter().for_each(|part| all += part.tally);
        all
    }

    /// As programs read it.
    pub(crate) fn json(&self) -> Value {
        let tally = self.tally();
        json!({ "tally": tally, "in_range": tally.in_range(), "open": self.open, "at_most": self.at_most, "passed": self.passed, "parts": self.parts, "samples": self.samples })
    }

    /// Reads everything. Blocks, so it must not run where async code does.
    pub(super) fn of(
        order: &Order,
        judge: &Judge,
        topics: &[Arc<Topic>],
        plan: Plan,
        asked: &Handle,
        cancel: &CancellationToken,
    ) -> Result<Self, SurveyError> {
        let mut survey = Self::default();
        for planned in plan.topics {
            if let Some(topic) = topics.iter().find(|topic| topic.name == planned.topic) {
                survey.read(order, judge, topic, planned, asked, cancel)?;
            }
        }
        Ok(survey)
    }

    fn read(
        &mut self,
        order: &Order,
        judge: &Judge,
        topic: &Topic,
        planned: TopicPlan,
        asked: &Handle,
        cancel: &CancellationToken,
    ) -> Result<(), SurveyError> {
        self.open += planned.unreadable().map(|(_, open)| open).sum::<i64>();
        let TopicPlan { mut reader, stretches, .. } = planned;
        let mut tallies: BTreeMap<i32, Tally> = BTreeMap::new();
        reader.begin(&stretches)?;
        let mut chunk = Vec::with_capacity(CHUNK);
        let mut would_run = Firsts::new(TOLD_APART);
        while !reader.is_finished() {
            if cancel.is_cancelled() {
                return Err(SurveyError::Interrupted);
            }
            let read = reader.read(LOOK)?;
            let pause = matches!(read, Read::Nothing);
            if let Read::Record(record) = read {
                let tally = tallies.entry(record.partition).or_default();
                match order.contains(record.timestamp) {
                    Containment::Inside => chunk.push(Arc::new(record)),
                    Containment::Outside => tally.outside += 1,
                    Containment::Timeless => tally.timeless += 1,
                }
            }
            if chunk.len() >= CHUNK || pause || reader.is_finished() {
                asked
                    .block_on(judge.open_the_book())
                    .map_err(|error| SurveyError::Ledger(error.to_string()))?;
                let verdicts = asked.block_on(judge.verdicts(topic, &chunk))?;
                for (record, Judged { verdict, key, remembered }) in chunk.drain(..).zip(verdicts) {
                    self.remembered = self.remembered.into_iter().chain(remembered).min();
                    // Of several records of one key only the first would run.
                    let repeats = verdict == Verdict::WillRun
                        && key.is_some_and(|key| !would_run.is_first(key.digest()));
                    let verdict = if repeats { Verdict::AlreadyDone } else { verdict };
                    if verdict == Verdict::WillRun && judge.was_passed(&record) {
                        self.passed += 1;
                    }
                    self.count(tallies.entry(record.partition).or_default(), &record, verdict);
                }
            }
        }
        self.at_most |= would_run.overflowed;
        self.parts.extend(stretches.iter().map(|stretch| Part {
            topic: topic.name.to_string(),
            partition: stretch.partition,
            topic_id: None,
            begin: stretch.begin,
            end: stretch.end.max(stretch.begin),
            at: stretch.end.max(stretch.begin),
            tally: tallies.remove(&stretch.partition).unwrap_or_default(),
        }));
        Ok(())
    }

    fn count(&mut self, tally: &mut Tally, record: &Record, verdict: Verdict) {
        *match verdict {
            Verdict::WillRun => &mut tally.ran,
            Verdict::AlreadyDone => &mut tally.already_done,
            Verdict::AlreadyDead => &mut tally.already_dead,
            Verdict::InProgress => &mut tally.in_progress,
            Verdict::Unknown => &mut tally.unknown,
            Verdict::LeftOut => &mut tally.left_out,
            Verdict::Skipped => &mut tally.skipped,
            Verdict::Undecodable => &mut tally.undecodable,
        } += 1;
        let Record { topic, partition, offset, timestamp, .. } = record;
        let (topic, partition, offset, timestamp) = (topic.to_string(), *partition, *offset, *timestamp);
        let sample = Sample { timestamp, topic, partition, offset };
        keep_first(self.samples.entry(verdict).or_default(), sample);
    }
}

/// Partitions come in no order of their own: those that are shown are the earliest, whatever was read first.
fn keep_first(samples: &mut Vec<Sample>, sample: Sample) {
    let at = samples.partition_point(|one| *one < sample);
    if at < SAMPLE {
        samples.insert(at, sample);
        samples.truncate(SAMPLE);
    }
}

/// Tells the first of several from the others, as long as there is room.
#[derive(Debug)]
struct Firsts {
    seen: HashSet<u128>,
    most: usize,
    overflowed: bool,
}

impl Firsts {
    fn new(most: usize) -> Self {
        Self { seen: HashSet::new(), most, overflowed: false }
    }

    fn is_first(&mut self, digest: u128) -> bool {
        if self.seen.contains(&digest) {
            return false;
        }
        if self.seen.len() < self.most {
            self.seen.insert(digest);
        } else {
            self.overflowed = true;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_are_shown_whichever_partition_was_read_first() {
        let sample = |n: i64| Sample {
            timestamp: Some(n),
            topic: "t".into(),
            partition: (n % 2) as i32,
            offset: n / 2,
        };
        let mut samples = Vec::new();
        [1, 3, 5, 7, 9, 11, 0, 2, 4, 6].into_iter().for_each(|n| keep_first(&mut samples, sample(n)));
        assert_eq!(samples, [0, 1, 2, 3, 4].map(sample));
    }

    #[test]
    fn however_many_would_run_memory_is_bounded_and_that_is_said() {
        let mut firsts = Firsts::new(1_000);
        let counted = (0..100_000_u128).filter(|n| firsts.is_first(n / 2)).count();
        assert_eq!((counted, firsts.overflowed), (99_000, true));
        assert!(firsts.seen.capacity() < 4_000, "{}", firsts.seen.capacity());
        let mut few = Firsts::new(1_000);
        assert_eq!((0..2_000_u128).filter(|n| few.is_first(n / 2)).count(), 1_000);
        assert!(!few.overflowed);
    }
}
