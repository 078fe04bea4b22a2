use std::borrow::Cow;
use std::collections::hash_map::Entry::{Occupied, Vacant};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use foldhash::fast::RandomState;

use super::clock::Clock;
use super::conformance::TestStore;
use super::key::BUCKETS;
use super::record::Record;
use super::{
    Accepted, Anchors, Claim, ClaimRequest, Completed, Completion, DedupeStore, Forget, Forgotten, Inspected,
    Release, Released, Renewal, Renewed, Request, StoreFault, StoreKey, StoreReport, millis,
};

/// A store inside the process, for tests and for trying things out: what it remembers ends with the process, and no
/// other process sees it. Its time is tokio's, so paused time moves leases and retention too.
#[derive(Debug)]
pub struct MemoryStore {
    clock: Clock,
    run_id: String,
    /// By bucket, so that batches seldom wait for each other.
    shelves: Vec<Mutex<Shelf>>,
    desk: Mutex<Desk>,
}

/// The events of one bucket.
#[derive(Debug, Default)]
struct Shelf {
    entries: HashMap<StoreKey, Entry, RandomState>,
    /// When the map has grown to this size, what is past its retention is swept out.
    sweep_at: usize,
}

/// What is known beside events.
#[derive(Debug, Default)]
struct Desk {
    anchors: HashMap<(String, String), Anchors>,
    notes: BTreeMap<(String, String), String>,
}

#[derive(Debug)]
struct Entry {
    kept: Kept,
    gone_at_ms: u64,
}

/// What is kept of an event. Of most there is nothing to tell but that they took effect, which takes little room.
#[derive(Debug)]
enum Kept {
    Done {
        token: u64,
        attempts: u32,
    },
    Record(Box<Record>),
    /// A value that nobody can read; only [`TestStore::corrupt`] makes one.
    Foreign,
}

impl Kept {
    fn of(record: Record) -> Self {
        match record.as_done() {
            Some((token, attempts)) => Self::Done { token, attempts },
            None => Self::Record(Box::new(record)),
        }
    }

    fn record(&self) -> Option<Cow<'_, Record>> {
        match self {
            Self::Done { token, attempts } => Some(Cow::Owned(Record::done(*token, *attempts))),
            Self::Record(record) => Some(Cow::Borrowed(record)),
            Self::Foreign => None,
        }
    }
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::by(Clock::of_tokio())
    }

    /// An empty store with this clock.
    pub(crate) fn by(clock: Clock) -> Self {
        let run_id = format!("{:032x}", rand::random::<u128>());
        let shelves = (0..BUCKETS).map(|_| Mutex::default()).collect();
        Self { clock, run_id, shelves, desk: Mutex::default() }
    }

    /// Where this key is kept.
    fn shelf(&self, key: &StoreKey) -> MutexGuard<'_, Shelf> {
        lock(&self.shelves[usize::from(key.bucket()) % self.shelves.len()])
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        lock(&self.desk)
    }

    /// Runs one transition per request, each by itself, as the commands of a batch run on a server.
    fn batch<R: Request, A: Copy>(
        &self,
        requests: &[R],
        foreign: A,
        step: impl Fn(Option<&Record>, &R, u64) -> (Option<Record>, A),
    ) -> Vec<A> {
        let now_us = self.clock.now_us();
        let one = |request| self.shelf(R::key(request)).step(request, foreign, &step, now_us);
        requests.iter().map(one).collect()
    }
}

/// Nothing panics while it holds a lock, and a half-made change cannot be seen: each is one assignment.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shelf {
    fn step<R: Request, A>(
        &mut self,
        request: &R,
        foreign: A,
        step: impl Fn(Option<&Record>, &R, u64) -> (Option<Record>, A),
        now_us: u64,
    ) -> A {
        let now_ms = now_us / 1_000;
        let place = self.entries.entry(request.key().clone());
        let old = match &place {
            Occupied(old) => Some(old.get()).filter(|old| now_ms < old.gone_at_ms),
            Vacant(_) => None,
        };
        if matches!(old, Some(Entry { kept: Kept::Foreign, .. })) {
            return foreign;
        }
        let record = old.and_then(|old| old.kept.record());
        // What has ended is never remembered for less than before.
        let ended = old.filter(|_| record.as_ref().is_some_and(|record| record.is_ended()));
        let kept_until_ms = ended.map_or(0, |old| old.gone_at_ms);
        let (next, answer) = step(record.as_deref(), request, now_us);
        if let Some(next) = next {
            drop(record);
            let gone_at_ms = (now_ms + millis(request.retention()).max(1)).max(kept_until_ms);
            place.insert_entry(Entry { kept: Kept::of(next), gone_at_ms });
            self.sweep(now_ms);
        }
        answer
    }

    fn known(&self, key: &StoreKey, now_ms: u64) -> Option<&Entry> {
        self.entries.get(key).filter(|entry| now_ms < entry.gone_at_ms)
    }

    fn sweep(&mut self, now_ms: u64) {
        if self.entries.len() >= self.sweep_at {
            self.entries.retain(|_, entry| now_ms < entry.gone_at_ms);
            self.sweep_at = (self.entries.len() * 2).max(1_024);
        }
    }
}

impl Desk {
    fn anchors(&mut self, group: &str, topic: &str) -> &mut Anchors {
        self.anchors.entry((group.to_owned(), topic.to_owned())).or_default()
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl DedupeStore for MemoryStore {
    async fn claim(&self, requests: &[ClaimRequest]) -> Result<Vec<Claim>, StoreFault> {
        Ok(self.batch(requests, Claim::Foreign, Record::claim))
    }

    async fn renew(&self, renewals: &[Renewal]) -> Result<Vec<Renewed>, StoreFault> {
        Ok(self.batch(renewals, Renewed::Foreign, Record::renew))
    }

    async fn complete(&self, completions: &[Completion]) -> Result<Vec<Completed>, StoreFault> {
        Ok(self
            .batch(completions, Completed::Foreign, |old, completion, _| Record::complete(old, completion)))
    }

    async fn release(&self, releases: &[Release]) -> Result<Vec<Released>, StoreFault> {
        Ok(self.batch(releases, Released::Foreign, Record::release))
    }

    async fn inspect(&self, keys: &[StoreKey]) -> Result<Vec<Inspected>, StoreFault> {
        let now_ms = self.clock.now_us() / 1_000;
        let inspected = keys.iter().map(|key| match self.shelf(key).known(key, now_ms) {
            None => Inspected::Unknown,
            Some(Entry { kept, gone_at_ms }) => kept.record().map_or(Inspected::Foreign, |record| {
                Inspected::Known(record.inspect(now_ms, Duration::from_millis(gone_at_ms - now_ms)))
            }),
        });
        Ok(inspected.collect())
    }

    async fn forget(&self, requests: &[Forget]) -> Result<Vec<Forgotten>, StoreFault> {
        let now_ms = self.clock.now_us() / 1_000;
        let forgotten = requests.iter().map(|request| {
            let mut shelf = self.shelf(&request.key);
            let answer = match shelf.known(&request.key, now_ms) {
                None => Forgotten::Forgotten,
                Some(Entry { kept, .. }) => {
                    kept.record().map_or(Forgotten::Foreign, |record| record.forget(request, now_ms))
                }
            };
            if answer == Forgotten::Forgotten {
                shelf.entries.remove(&request.key);
            }
            answer
        });
        Ok(forgotten.collect())
    }

    async fn anchors(&self, group: &str, topic: &str) -> Result<Anchors, StoreFault> {
        Ok(self.desk().anchors(group, topic).clone())
    }

    async fn anchor(
        &self,
        group: &str,
        topic: &str,
        partitions: i32,
        started: &[(i32, i64)],
    ) -> Result<(), StoreFault> {
        let mut desk = self.desk();
        let anchors = desk.anchors(group, topic);
        anchors.partitions.get_or_insert(partitions);
        for (partition, offset) in started {
            if anchors.accepted.contains_key(partition) {
                anchors.started.insert(*partition, *offset);
            }
            anchors.started.entry(*partition).or_insert(*offset);
        }
        Ok(())
    }

    async fn accept(
        &self,
        group: &str,
        topic: &str,
        partition: i32,
        position: Accepted,
    ) -> Result<(), StoreFault> {
        self.desk().anchors(group, topic).accepted.insert(partition, position);
        Ok(())
    }

    async fn lost(&self, group: &str, topic: &str, partition: i32, from: i64) -> Result<(), StoreFault> {
        self.desk().anchors(group, topic).lost.entry(partition).or_insert(from);
        Ok(())
    }

    async fn begun(
        &self,
        group: &str,
        topic: &str,
        partition: i32,
        topic_id: Option<&str>,
    ) -> Result<(), StoreFault> {
        let mut desk = self.desk();
        let anchors = desk.anchors(group, topic);
        anchors.accepted.remove(&partition);
        anchors.lost.remove(&partition);
        anchors.topic_ids.extend(topic_id.map(|id| (partition, id.to_owned())));
        Ok(())
    }

    async fn notes(&self, kind: &str) -> Result<BTreeMap<String, String>, StoreFault> {
        let of_kind = |((known, name), text): (&(String, String), &String)| {
            (known == kind).then(|| (name.clone(), text.clone()))
        };
        Ok(self.desk().notes.iter().filter_map(of_kind).collect())
    }

    async fn note(&self, kind: &str, name: &str, text: Option<&str>) -> Result<(), StoreFault> {
        let place = (kind.to_owned(), name.to_owned());
        let mut desk = self.desk();
        match text {
            Some(text) => desk.notes.insert(place, text.to_owned()),
            None => desk.notes.remove(&place),
        };
        Ok(())
    }

    async fn describe(&self) -> Result<StoreReport, StoreFault> {
        Ok(StoreReport {
            now_ms: None,
            version: None,
            maxmemory_policy: Some("noeviction".to_owned()),
            run_id: Some(self.run_id.clone()),
            replication_id: Some(self.run_id.clone()),
            role: Some("master".to_owned()),
            replicas: Vec::new(),
            evicted_keys: None,
            used_memory: None,
            maxmemory: Some(0),
            unreadable: vec!["version".to_owned(), "used_memory".to_owned()],
        })
    }
}

#[async_trait]
impl TestStore for MemoryStore {
    async fn expire_lease(&self, key: &StoreKey) -> Result<(), StoreFault> {
        if let Some(Entry { kept: Kept::Record(record), .. }) = self.shelf(key).entries.get_mut(key) {
            record.run_out();
        }
        Ok(())
    }

    async fn lose(&self, key: &StoreKey) -> Result<(), StoreFault> {
        self.shelf(key).entries.remove(key);
        Ok(())
    }

    async fn corrupt(&self, key: &StoreKey) -> Result<(), StoreFault> {
        self.shelf(key).entries.insert(key.clone(), Entry { kept: Kept::Foreign, gone_at_ms: u64::MAX });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::conformance;

    #[tokio::test]
    async fn it_keeps_the_contract() {
        conformance::run(&MemoryStore::new(), 0..300).await.unwrap();
    }
}
