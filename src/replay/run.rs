//! Reads the range and lets the pipeline settle it. Blocks, so it runs on a thread of its own.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::{
    Order, Part, ReplayError,
    allowance::Allowance,
    judge::{Judge, Verdict},
    notes::{Notes, What},
    order::Containment,
    plan::describe_open,
    reading::{Going, LOOK, Reading},
};
use crate::{
    Record,
    kafka::FaultKind,
    ledger::KeepError,
    pipeline::{Bounds, How, Partition, Topic},
};

/// Records taken in before anything else gets its turn.
const TAKE: usize = 500;
/// Between two reports of how far it is.
const REPORT: Duration = Duration::from_millis(500);
/// Between two looks at how far back the store remembers: far less than what is told too late for safety.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// While Kafka is out of reach.
const AGAIN: Duration = Duration::from_millis(500);

const LOST: &str = "the store has forgotten what it knew, or another replay has one of its partitions now; look with --dry-run before it goes on";

const UNREAD: &str = "not everything in the range was read";

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

/// What came of a run.
#[derive(Debug)]
pub(super) struct Worked {
    pub(super) ended: Ended,
    pub(super) parts: Vec<Part>,
    /// Partitions with handlers that were still running when the time to drain was over.
    pub(super) cut_off: Vec<Arc<Partition>>,
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

impl Run<'_> {
    /// Works until the end, telling `report` now and then how far it is.
    pub(super) fn work(mut self, mut report: impl FnMut(Vec<Part>)) -> Worked {
        let began = Instant::now();
        let mut next_report = began;
        let mut next_look = began + LOOK_AGAIN;
        let mut allowance = self.order.rate.map(|rate| Allowance::new(rate, began));
        let mut taken_now = 0;
        let ended = loop {
            if let Some(ended) = self.is_over(taken_now) {
                break ended;
            }
            let may_take = self.may_take(allowance.as_mut(), taken_now);
            match self.turn(may_take) {
                Ok(taken) => {
                    taken_now += taken;
                    allowance.iter_mut().for_each(|allowance| allowance.take(taken));
                }
                Err(ended) => break ended,
            }
            if Instant::now() >= next_look {
                next_look = Instant::now() + LOOK_AGAIN;
                match self.asked.block_on(self.judge.look_again()) {
                    Ok(()) => {}
                    Err(KeepError::Store(fault)) => self.judge.service.status.store_fault(None, &fault),
                    Err(KeepError::Kafka(fault)) => tracing::warn!(%fault, "the ledger"),
                }
            }
            if Instant::now() >= next_report {
                next_report = Instant::now() + REPORT;
                report(self.parts());
            }
        };
        let cut_off = self.stop();
        let parts = self.parts();
        let is_settled = parts.iter().all(|part| part.at >= part.end);
        let ended = match ended {
            Ended::Cancelled | Ended::Enough if is_settled => Ended::Finished,
            Ended::Finished if !is_settled => Ended::Failed(UNREAD.to_owned()),
            ended => ended,
        };
        Worked { ended, parts, cut_off }
    }

    /// Whatever there is left to do.
    fn is_told_to_end(&self) -> Option<Ended> {
        if self.lost.is_cancelled() {
            return Some(Ended::Failed(LOST.to_owned()));
        }
        if let Some(why) = self.judge.service.status.failure() {
            return Some(Ended::Failed(why.to_owned()));
        }
        self.cancel.is_cancelled().then_some(Ended::Cancelled)
    }

    fn is_over(&self, taken_now: u64) -> Option<Ended> {
        if let Some(ended) = self.is_told_to_end() {
            return Some(ended);
        }
        let is_idle = || self.goings().all(|going| going.partition.is_idle());
        if self.topics.iter().all(|reading| reading.reader.is_finished()) && is_idle() {
            return Some(self.open().map_or(Ended::Finished, Ended::Failed));
        }
        let enough = self.order.max.is_some_and(|max| taken_now >= max);
        (enough && is_idle()).then_some(Ended::Enough)
    }

    /// What of the range could not be read yet, if anything.
    fn open(&self) -> Option<String> {
        let open = self.goings().filter(|going| going.readable < going.part.end).map(|going| {
            let open = going.part.end - going.readable.max(going.read_to);
            describe_open(&going.part.topic, going.part.partition, open)
        });
        let open: Vec<String> = open.collect();
        (!open.is_empty()).then(|| format!("{}; it can go on when that has", open.join(", ")))
    }

    fn may_take(&self, allowance: Option<&mut Allowance>, taken_now: u64) -> usize {
        let by_rate = allowance.map(|allowance| allowance.left(Instant::now()));
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
                Err(fault)
                    if matches!(
                        fault.kind,
                        FaultKind::Misconfigured | FaultKind::Refused | FaultKind::Untrusted
                    ) =>
                {
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
                && (self.judge.book.is_some() || !self.judge.is_remembered(record.timestamp))
        };
        // What the store may have forgotten must not be claimed as if it had never been; and where there is a ledger,
        // nothing of which that knows better.
        let doubtful: Vec<Arc<Record>> = records.iter().filter(is_doubtful).cloned().collect();
        let verdicts = self.verdicts(index, &doubtful)?;
        let mut verdicts = doubtful.into_iter().zip(verdicts).peekable();
        let mut taken = 0;
        // In order: a partition takes no record that lies before one it has taken.
        for record in records {
            let verdict = verdicts.next_if(|(doubtful, _)| Arc::ptr_eq(doubtful, &record));
            match (self.order.contains(record.timestamp), verdict.map(|(_, verdict)| verdict)) {
                (Containment::Outside, _) => self.pass(index, &record, What::Outside),
                (Containment::Timeless, _) => self.pass(index, &record, What::Timeless),
                (_, Some(Verdict::AlreadyDone)) => self.pass(index, &record, What::Settled(How::Duplicate)),
                (_, Some(Verdict::AlreadyDead)) => self.pass(index, &record, What::Settled(How::WasDead)),
                (_, Some(Verdict::Unknown)) if !self.order.allow_unknown => {
                    return Err(Ended::Failed(describe_unknown(&record)));
                }
                (Containment::Inside, verdict) => {
                    taken += 1;
                    if let (Some(_), Some(replay)) = (verdict, &self.judge.service.replay)
                        && !self.judge.is_remembered(record.timestamp)
                    {
                        replay.clear(&record);
                    }
                    self.admit(index, Arc::unwrap_or_clone(record));
                }
            }
        }
        Ok(taken)
    }

    /// Asks until the store answers.
    fn verdicts(&self, index: usize, records: &[Arc<Record>]) -> Result<Vec<Verdict>, Ended> {
        loop {
            match self.asked.block_on(self.judged(&self.topics[index].topic, records)) {
                Ok(verdicts) => return Ok(verdicts),
                Err(fault) => tracing::warn!(%fault, "what has taken effect cannot be asked for"),
            }
            if let Some(ended) = self.is_told_to_end() {
                return Err(ended);
            }
            std::thread::sleep(AGAIN);
        }
    }

    /// What the ledger has not heard of these is written there: the store may forget it.
    async fn judged(&self, topic: &Topic, records: &[Arc<Record>]) -> Result<Vec<Verdict>, ReplayError> {
        if records.is_empty() {
            return Ok(Vec::new());
        }
        self.judge.open_the_book().await?;
        let verdicts = self.judge.verdicts(topic, records).await?;
        self.judge.write_down(&verdicts).await?;
        Ok(verdicts.into_iter().map(|judged| judged.verdict).collect())
    }

    fn pass(&mut self, index: usize, record: &Record, what: What) {
        if let Some(going) = self.topics[index].partitions.get_mut(&record.partition) {
            self.notes.passed(&record.topic, record.partition, record.offset, what);
            going.read_to = record.offset + 1;
        }
    }

    fn admit(&mut self, index: usize, record: Record) {
        if let Some(going) = self.topics[index].partitions.get_mut(&record.partition) {
            going.read_to = record.offset + 1;
            self.notes.taken(&record.topic, record.partition);
            going.partition.take([record]);
        }
    }

    fn goings(&self) -> impl Iterator<Item = &Going> {
        self.topics.iter().flat_map(|reading| reading.partitions.values())
    }

    /// Nothing new begins; what runs may finish. Partitions where something has not.
    fn stop(&self) -> Vec<Arc<Partition>> {
        self.goings().for_each(|going| going.partition.stop());
        let all = futures_util::future::join_all(self.goings().map(|going| going.partition.stopped()));
        // Whatever it has not waited for is seen below.
        drop(self.asked.block_on(async { tokio::time::timeout(self.drain_timeout, all).await }));
        let left = self.goings().map(|going| &going.partition).filter(|partition| !partition.is_stopped());
        left.cloned().collect()
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

fn describe_unknown(record: &Record) -> String {
    let Record { topic, partition, offset, .. } = record;
    format!(
        "nobody knows whether offset {offset} of partition {partition} of {topic} took effect: it is older than what the store remembers for certain; --allow-unknown runs such events"
    )
}
