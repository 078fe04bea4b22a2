//! Reads the range and lets the pipeline settle it. Blocks, so it runs on a thread of its own.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::{
    Order, Part, Tally,
    judge::{Judge, Verdict},
    order::Containment,
    plan::TopicPlan,
};
use crate::{
    Record,
    kafka::{FaultKind, KafkaFault, LogReader, Read},
    pipeline::{Bounds, How, Partition, Topic, next_epoch},
};

/// How long one look at Kafka waits.
const LOOK: Duration = Duration::from_millis(20);
/// Records taken in before anything else gets its turn.
const TAKE: usize = 500;
/// Between two reports of how far it is.
const REPORT: Duration = Duration::from_millis(500);
/// While Kafka is out of reach.
const AGAIN: Duration = Duration::from_millis(500);

const LOST: &str = "the store has forgotten what it knew, or another replay has one of its partitions now; look with --dry-run before it goes on";

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ended {
    /// Everything in the range is settled.
    Finished,
    /// Somebody has told it to stop.
    Cancelled,
    /// It has taken as many records as it may.
    Enough,
    /// It cannot go on, and why.
    Failed(String),
}

/// What was settled, by topic and partition, with its offset: counted once everything below it is settled, too, so
/// that a report never counts what a resumed replay counts again.
#[derive(Debug, Default)]
pub(super) struct Notes(Mutex<Noted>);

type Noted = BTreeMap<(String, i32), Vec<(i64, What)>>;

/// What became of a record.
#[derive(Debug, Clone, Copy)]
pub(super) enum What {
    Settled(How),
    Outside,
    Timeless,
}

impl Notes {
    pub(super) fn add(&self, topic: &str, partition: i32, offset: i64, what: What) {
        self.lock().entry((topic.to_owned(), partition)).or_default().push((offset, what));
    }

    /// Moves what lies below `at` into the tally.
    fn count(&self, part: &mut Part) {
        let mut notes = self.lock();
        let Some(noted) = notes.get_mut(&(part.topic.clone(), part.partition)) else { return };
        noted.retain(|(offset, what)| {
            let counts = *offset < part.at;
            if counts {
                *what.count(&mut part.tally) += 1;
            }
            !counts
        });
    }

    fn lock(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl What {
    fn count(self, tally: &mut Tally) -> &mut u64 {
        match self {
            Self::Settled(How::Done) => &mut tally.ran,
            Self::Settled(How::Skipped) => &mut tally.skipped,
            Self::Settled(How::Duplicate) => &mut tally.already_done,
            Self::Settled(How::DeadLettered) => &mut tally.dead_lettered,
            Self::Settled(How::WasDead) => &mut tally.already_dead,
            Self::Settled(How::LeftOut) => &mut tally.left_out,
            Self::Outside => &mut tally.outside,
            Self::Timeless => &mut tally.timeless,
        }
    }
}

/// A replay at work.
pub(super) struct Run<'a> {
    pub(super) order: &'a Order,
    pub(super) judge: &'a Judge,
    pub(super) notes: &'a Notes,
    pub(super) topics: Vec<Reading>,
    pub(super) bounds: Bounds,
    /// Where the store is asked.
    pub(super) asked: &'a Handle,
    pub(super) drain_timeout: Duration,
    pub(super) cancel: CancellationToken,
    /// Another replay has the partitions now.
    pub(super) lost: CancellationToken,
}

/// One topic that is being read.
pub(super) struct Reading {
    topic: Arc<Topic>,
    reader: LogReader,
    partitions: BTreeMap<i32, Going>,
    /// What Kafka said after the records that were read last; told when those are taken care of.
    fault: Option<KafkaFault>,
}

/// One partition that is being read.
struct Going {
    partition: Arc<Partition>,
    part: Part,
    /// Everything below was read.
    read_to: i64,
}

impl Reading {
    /// Begins to read what is left of these parts.
    pub(super) fn begin(
        topic: Arc<Topic>,
        plan: TopicPlan,
        parts: impl IntoIterator<Item = Part>,
        handlers: &Handle,
    ) -> Result<Self, KafkaFault> {
        let TopicPlan { mut reader, mut stretches, .. } = plan;
        let mut partitions = BTreeMap::new();
        for part in parts {
            let partition =
                Partition::new(Arc::clone(&topic), part.partition, next_epoch(), part.at, handlers.clone());
            partitions.insert(part.partition, Going { partition, read_to: part.at, part });
        }
        // The topic may have grown since the replay began: other partitions are none of its.
        stretches.retain_mut(|stretch| {
            let Some(going) = partitions.get(&stretch.partition) else { return false };
            (stretch.begin, stretch.end) = (going.part.at, going.part.end);
            true
        });
        reader.begin(&stretches)?;
        Ok(Self { topic, reader, partitions, fault: None })
    }
}

impl Run<'_> {
    /// Works until the end, telling `report` now and then how far it is.
    pub(super) fn work(mut self, mut report: impl FnMut(Vec<Part>)) -> (Ended, Vec<Part>) {
        let began = Instant::now();
        let mut next_report = began;
        let mut taken_now = 0;
        let ended = loop {
            if let Some(ended) = self.is_over(taken_now) {
                break ended;
            }
            let may_take = self.may_take(began, taken_now);
            match self.turn(may_take) {
                Ok(taken) => taken_now += taken,
                Err(ended) => break ended,
            }
            if Instant::now() >= next_report {
                next_report = Instant::now() + REPORT;
                report(self.parts());
            }
        };
        self.stop();
        let parts = self.parts();
        let is_settled = parts.iter().all(|part| part.at >= part.end);
        let was_stopped = matches!(ended, Ended::Cancelled | Ended::Enough);
        let ended = if was_stopped && is_settled { Ended::Finished } else { ended };
        (ended, parts)
    }

    fn is_over(&self, taken_now: u64) -> Option<Ended> {
        if self.lost.is_cancelled() {
            return Some(Ended::Failed(LOST.to_owned()));
        }
        if let Some(why) = self.judge.service.status.failure() {
            return Some(Ended::Failed(why.to_owned()));
        }
        if self.cancel.is_cancelled() {
            return Some(Ended::Cancelled);
        }
        let is_idle = || self.goings().all(|going| going.partition.is_idle());
        if self.topics.iter().all(|reading| reading.reader.is_finished()) && is_idle() {
            return Some(Ended::Finished);
        }
        let enough = self.order.max.is_some_and(|max| taken_now >= max);
        (enough && is_idle()).then_some(Ended::Enough)
    }

    fn may_take(&self, began: Instant, taken_now: u64) -> usize {
        let by_rate = self.order.rate.map(|rate| {
            let due = began.elapsed().as_millis() * u128::from(rate) / 1000;
            u64::try_from(due).unwrap_or(u64::MAX).saturating_sub(taken_now)
        });
        let by_max = self.order.max.map(|max| max.saturating_sub(taken_now));
        let may = [by_rate, by_max].into_iter().flatten().min().unwrap_or(u64::MAX);
        usize::try_from(may).unwrap_or(usize::MAX).min(TAKE)
    }

    /// Reads some records and hands them to the pipeline; how many those were.
    fn turn(&mut self, may_take: usize) -> Result<u64, Ended> {
        if may_take == 0 || self.topics.iter().all(|reading| reading.reader.is_finished()) {
            std::thread::sleep(LOOK);
            return Ok(0);
        }
        let mut taken = 0;
        for index in 0..self.topics.len() {
            let left = may_take.saturating_sub(taken);
            let reading = &mut self.topics[index];
            let read = reading.make_room(self.bounds).and_then(|()| reading.read(left));
            match read {
                Ok((records, over)) => {
                    taken += self.take(index, records)?;
                    self.topics[index].end(&over);
                }
                Err(fault) if fault.kind == FaultKind::Misconfigured => {
                    return Err(Ended::Failed(fault.message));
                }
                Err(fault) => {
                    tracing::warn!(%fault, "Kafka");
                    std::thread::sleep(AGAIN);
                }
            }
        }
        Ok(u64::try_from(taken).unwrap_or(0))
    }

    fn take(&mut self, index: usize, records: Vec<Record>) -> Result<usize, Ended> {
        let records: Vec<Arc<Record>> = records.into_iter().map(Arc::new).collect();
        let is_doubtful = |record: &&Arc<Record>| {
            self.order.contains(record.timestamp) == Containment::Inside
                && !self.order.allow_unknown
                && !self.judge.is_remembered(record.timestamp)
        };
        let doubtful: Vec<Arc<Record>> = records.iter().filter(is_doubtful).cloned().collect();
        let verdicts = self.verdicts(index, &doubtful)?;
        let unknown = |(record, verdict)| (verdict == Verdict::Unknown).then_some(record);
        let unknown: Option<Arc<Record>> = doubtful.into_iter().zip(verdicts).find_map(unknown);
        let mut taken = 0;
        // In order: a partition takes no record that lies before one it has taken.
        for record in records {
            if unknown.as_ref().is_some_and(|unknown| Arc::ptr_eq(unknown, &record)) {
                return Err(Ended::Failed(describe_unknown(&record)));
            }
            match self.order.contains(record.timestamp) {
                Containment::Outside => self.pass(index, &record, What::Outside),
                Containment::Timeless => self.pass(index, &record, What::Timeless),
                Containment::Inside => {
                    taken += 1;
                    self.admit(index, Arc::unwrap_or_clone(record));
                }
            }
        }
        Ok(taken)
    }

    /// Asks until the store answers.
    fn verdicts(&self, index: usize, records: &[Arc<Record>]) -> Result<Vec<Verdict>, Ended> {
        loop {
            let topic = &self.topics[index].topic;
            match self.asked.block_on(self.judge.verdicts(topic, records, &mut Default::default())) {
                Ok(verdicts) => return Ok(verdicts),
                Err(fault) => self.judge.service.status.store_fault(&fault),
            }
            if self.cancel.is_cancelled() {
                return Err(Ended::Cancelled);
            }
            std::thread::sleep(AGAIN);
        }
    }

    fn pass(&mut self, index: usize, record: &Record, what: What) {
        if let Some(going) = self.topics[index].partitions.get_mut(&record.partition) {
            self.notes.add(&record.topic, record.partition, record.offset, what);
            going.read_to = record.offset + 1;
        }
    }

    fn admit(&mut self, index: usize, record: Record) {
        if let Some(going) = self.topics[index].partitions.get_mut(&record.partition) {
            going.read_to = record.offset + 1;
            going.partition.take(record);
        }
    }

    fn goings(&self) -> impl Iterator<Item = &Going> {
        self.topics.iter().flat_map(|reading| reading.partitions.values())
    }

    /// Nothing new begins; what runs may finish.
    fn stop(&self) {
        self.goings().for_each(|going| going.partition.stop());
        let all = futures_util::future::join_all(self.goings().map(|going| going.partition.stopped()));
        let drained = self.asked.block_on(async { tokio::time::timeout(self.drain_timeout, all).await });
        if drained.is_err() {
            tracing::warn!("some handlers were still running when the time to drain was over");
        }
    }

    fn parts(&mut self) -> Vec<Part> {
        let goings = self.topics.iter_mut().flat_map(|reading| reading.partitions.values_mut());
        goings
            .map(|going| {
                going.part.at = going.partition.settled_to(going.read_to);
                self.notes.count(&mut going.part);
                going.part.clone()
            })
            .collect()
    }
}

impl Reading {
    fn make_room(&mut self, bounds: Bounds) -> Result<(), KafkaFault> {
        for (number, going) in &self.partitions {
            if going.partition.is_full(bounds) {
                self.reader.pause(*number)?;
            } else if going.partition.has_room(bounds) {
                self.reader.resume(*number)?;
            }
        }
        Ok(())
    }

    /// Records, at most so many, and the partitions that have no more after them.
    fn read(&mut self, most: usize) -> Result<(Vec<Record>, Vec<i32>), KafkaFault> {
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        let (mut records, mut over) = (Vec::new(), Vec::new());
        let mut patience = LOOK;
        while records.len() < most && !self.reader.is_finished() {
            match self.reader.read(patience) {
                Ok(Read::Record(record)) => records.push(record),
                Ok(Read::Ended(number)) => over.push(number),
                Ok(Read::Nothing) => break,
                // The reader is past what it has handed out: that must not be dropped.
                Err(fault) => {
                    self.fault = Some(fault);
                    break;
                }
            }
            patience = Duration::ZERO;
        }
        Ok((records, over))
    }

    fn end(&mut self, over: &[i32]) {
        for number in over {
            if let Some(going) = self.partitions.get_mut(number) {
                going.read_to = going.part.end;
            }
        }
    }
}

fn describe_unknown(record: &Record) -> String {
    let Record { topic, partition, offset, .. } = record;
    format!(
        "nobody knows whether offset {offset} of partition {partition} of {topic} took effect: it is older than what the store remembers for certain; --allow-unknown runs such events"
    )
}
