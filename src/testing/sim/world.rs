//! What outlives a pod: the log, the group, the store, time, and what has happened so far.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use tokio::{sync::Notify, time::Instant};

use super::{
    Broken,
    check::Checker,
    dice::Dice,
    group::Group,
    handler::Act,
    history::{History, Place, Pod, What},
    plan::{Content, Fault, Id, Nature, Plan, Planned},
    pod::Seam,
};
use crate::{
    Record,
    pipeline::dead_letter::millis,
    store::{Clock, MemoryStore, StoreKey},
};

/// The one topic that is read.
pub(super) const TOPIC: &str = "events";
/// The one service, its group and its handler.
pub(super) const SERVICE: &str = "sim";
pub(super) const HANDLER: &str = "effect";

/// Outlives every pod.
#[derive(Debug)]
pub(super) struct World {
    pub(super) plan: Plan,
    pub(super) clock: Clock,
    pub(super) broken: Option<Broken>,
    began: Instant,
    /// The events by the digests of their keys.
    ids: BTreeMap<u128, Id>,
    things: Mutex<Things>,
    /// Something was committed, or an invariant did not hold.
    pub(super) news: Notify,
}

/// What changes.
#[derive(Debug)]
pub(super) struct Things {
    pub(super) dice: Dice,
    pub(super) log: Vec<Vec<Record>>,
    pub(super) committed: Vec<i64>,
    pub(super) group: Group,
    pub(super) store: Arc<MemoryStore>,
    pub(super) store_back: Instant,
    pub(super) broker_back: Instant,
    /// When what the handlers call is there again.
    pub(super) others_back: Instant,
    /// Nothing goes wrong any more.
    pub(super) is_calm: bool,
    /// Those that live, or stand still.
    pub(super) pods: BTreeMap<Pod, Seam>,
    pub(super) last_pod: Pod,
    pub(super) last_epoch: u64,
    pub(super) history: History,
    pub(super) checker: Checker,
}

/// What becomes of a call over the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line {
    Fine,
    /// It never arrives.
    RequestLost,
    /// It is carried out, and nobody hears of it.
    ReplyLost,
    /// Nobody hears of it, and it is carried out that much later.
    Late(Duration),
}

impl World {
    pub(super) fn new(plan: Plan, broken: Option<Broken>) -> Arc<Self> {
        let clock = Clock::of_tokio_from(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000));
        let key = |id: Id| StoreKey::new("oncewise", SERVICE, HANDLER, id.to_string()).digest();
        let ids = plan.records.iter().filter_map(|record| match record.content {
            Content::Event { id, .. } => Some((key(id), id)),
            _ => None,
        });
        let now = Instant::now();
        let things = Things {
            dice: Dice::of(plan.seed, 2),
            log: vec![Vec::new(); plan.partitions],
            committed: vec![0; plan.partitions],
            group: Group::of(plan.partitions),
            store: Arc::new(MemoryStore::by(clock)),
            store_back: now,
            broker_back: now,
            others_back: now,
            is_calm: false,
            pods: BTreeMap::new(),
            last_pod: 0,
            last_epoch: 0,
            history: History::default(),
            checker: Checker::of(plan.partitions),
        };
        let ids = ids.collect();
        Arc::new(Self { clock, broken, began: now, ids, things: things.into(), news: Notify::new(), plan })
    }

    /// To look and to change, between two waits.
    pub(super) fn things(&self) -> MutexGuard<'_, Things> {
        self.things.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When so much time has passed since the beginning.
    pub(super) fn at(&self, time: Duration) -> Instant {
        self.began + time
    }

    pub(super) fn now_ms(&self) -> u64 {
        self.clock.now_us() / 1_000
    }

    /// Something has happened.
    pub(super) fn happen(&self, what: What) {
        let mut things = self.things();
        things.checker.see(&what, self.now_ms());
        if things.checker.violation.is_some() {
            self.news.notify_one();
        }
        let at = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        things.history.0.push((at, what));
    }

    pub(super) fn id_of(&self, key: &StoreKey) -> Id {
        self.ids.get(&key.digest()).copied().unwrap_or(0)
    }

    /// Puts a record at the end of its partition.
    pub(super) fn write(&self, planned: Planned) {
        let Planned { partition, key, content, .. } = planned;
        let (id, value) = match content {
            Content::Event { id, version } => (Some(id), Some(format!("[{id},{version}]"))),
            Content::NoKey => (None, Some("[0,0]".to_owned())),
            Content::Garbage => (None, Some("?".to_owned())),
            Content::Tombstone => (None, None),
        };
        let mut things = self.things();
        let offset = i64::try_from(things.log[partition].len()).unwrap_or(i64::MAX);
        things.log[partition].push(Record {
            topic: TOPIC.into(),
            partition: i32::try_from(partition).unwrap_or(0),
            offset,
            timestamp: Some(millis(self.clock.now())),
            key: key.map(|key| Bytes::from(vec![key])),
            value: value.map(Bytes::from),
            headers: vec![crate::Header::text("tenant", "eu")],
        });
        things.checker.written(partition, key, content);
        drop(things);
        self.happen(What::Written(Place(partition, offset), id));
        self.wake_all();
    }

    /// What becomes of the next call of the store, or of the broker.
    pub(super) fn line(&self, to_store: bool) -> Line {
        let mut things = self.things();
        let back = if to_store { things.store_back } else { things.broker_back };
        if Instant::now() < back {
            return Line::RequestLost;
        }
        let rate = if things.is_calm { 0 } else { self.plan.rates.calls };
        if !things.dice.thousandths(rate) {
            return Line::Fine;
        }
        match things.dice.below(3) {
            0 => Line::RequestLost,
            1 => Line::ReplyLost,
            _ => Line::Late(things.dice.millis(1..4_000)),
        }
    }

    /// What the next attempt at an event comes to.
    pub(super) fn act(&self, id: Id) -> Act {
        match self.plan.nature(id) {
            Nature::Refused => return Act::Reject,
            Nature::Failing => return Act::Retry,
            Nature::Killer => return Act::Die,
            Nature::Sound => {}
        }
        let mut things = self.things();
        if Instant::now() < things.others_back {
            return things.dice.pick(&Act::OF_AN_OUTAGE);
        }
        let rate = if things.is_calm { 0 } else { self.plan.rates.attempt };
        if things.dice.thousandths(rate) { things.dice.pick(&Act::BAD) } else { Act::Done }
    }

    pub(super) fn wake_all(&self) {
        self.things().pods.values().for_each(|seam| seam.bell.notify_one());
    }

    /// Lets something go wrong now.
    pub(super) fn strike(self: &Arc<Self>, fault: Fault) {
        let pod = |number: usize| {
            let things = self.things();
            let number = number % things.pods.len().max(1);
            things.pods.values().nth(number).cloned()
        };
        let until = |time: Duration| Instant::now() + time;
        match fault {
            Fault::Crash(number) => _ = pod(number).map(|seam| seam.die()),
            Fault::Freeze(number, time) => _ = pod(number).map(|seam| seam.freeze(time)),
            Fault::PutOut(number, time) => _ = pod(number).map(|seam| self.put_out(seam.pod, time)),
            Fault::Leave(number) => _ = pod(number).map(|seam| seam.leave()),
            Fault::Join => Seam::start(self),
            Fault::Bounce(partition) => self.bounce(partition),
            Fault::Shuffle => self.rebalance(true),
            Fault::StoreDown(time) => {
                self.happen(What::Trouble("the store is away"));
                self.things().store_back = until(time);
            }
            Fault::StoreLost => {
                self.happen(What::StoreLost);
                let mut things = self.things();
                things.store = Arc::new(MemoryStore::by(self.clock));
                // What is granted next is granted later.
                things.store_back = things.store_back.max(until(Duration::from_millis(2)));
            }
            Fault::Outage(time) => {
                self.happen(What::Trouble("what handlers call is away"));
                self.things().others_back = until(time);
            }
            Fault::BrokerDown(time) => {
                self.happen(What::Trouble("the broker is away"));
                self.things().broker_back = until(time);
            }
        }
    }
}
