//! The way of many records at once: decoded, claimed, handled, completed and settled together.
//!
//! A batch takes every event as far as it goes without waiting. One that needs more (its handler waits or fails, somebody
//! else has the claim, it is in doubt) leaves the batch and goes on alone, in [`settle`](super::settle).

use std::{
    collections::{HashSet, VecDeque},
    future::poll_fn,
    iter,
    mem::take,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use tokio::{task::coop::unconstrained, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    How, Settled,
    capacity::Places,
    dead_letter::now_ms,
    decode::{Decoded, Event, decode},
    dedupe::Stopped,
    delivery::{Delivery, HAND_OVER},
    dispatch::{Attempt, Running, Stay},
    lanes::{Delivered, Lane, Turn},
    route::Route,
    settle::{Asked, Begun, BegunState, Stage, settle},
    source::Partition,
};
use crate::{
    crash::crash_point,
    outcome as handler,
    store::{Claim, ClaimRequest, Completion, End, Grant, Held, Release, StoreKey},
};

/// A handler that holds its thread longer than this is heavy, or the system has given the thread's processor away.
const QUICK: Duration = Duration::from_micros(200);
/// After so many heavy handlers those that follow in the batch get tasks of their own.
const HEAVY: u32 = 2;
/// What has taken effect waits no longer than this for the rest of its batch, or a death would repeat more.
const UNTOLD: Duration = Duration::from_millis(2);

/// Works on these records until each is settled, has left the batch, or is given back.
pub(super) async fn settle_all(
    partition: &Arc<Partition>,
    turns: Vec<Turn>,
    near: Option<Places>,
    was_quick: bool,
) -> Result<(), Stopped> {
    let mut batch = Batch::new(partition, near, turns.len());
    let (events, requests) = batch.decode(turns);
    if !requests.is_empty() {
        let at = Instant::now();
        let claims = partition.topic.service.claims.claim_all(&requests, &partition.stop).await?;
        batch.now = Instant::now();
        for ((event, request), claim) in events.into_iter().zip(requests).zip(claims) {
            batch.answered(event, Asked { request, claim, at }).await;
        }
    }
    if batch.is_quick != was_quick {
        partition.is_quick(batch.is_quick);
    }
    batch.end().await
}

struct Batch<'a> {
    partition: &'a Arc<Partition>,
    /// A place for each event, unless their handlers were expected to answer at once.
    near: Option<Places>,
    lanes: Vec<AtWork>,
    /// What needs no more work.
    over: Vec<Over>,
    /// What was handled, and is to be completed first.
    handled: Handled,
    /// Claims of which nothing has run.
    unused: Vec<Release>,
    leaving: Vec<(usize, Delivered, Stage)>,
    /// What a handler needs to run, kept from one to the next.
    place: Option<(Places, Stay)>,
    /// No handler has waited.
    is_quick: bool,
    /// How many handlers have held their thread.
    heavy: u32,
    /// When the last handler came to its end, or the store had answered.
    now: Instant,
}

/// A lane whose turn it is.
struct AtWork {
    lane: Lane,
    /// Of its records that come after those of this batch: they go back.
    later: VecDeque<Delivered>,
    /// Of its records that cannot run in this batch any more, and lie before the later ones.
    back: VecDeque<Delivered>,
    /// How many of its events are in this batch.
    events: usize,
    /// A record has left the batch and holds the lane; no other may leave it, or run.
    is_held: bool,
}

impl AtWork {
    fn new(lane: Lane) -> Self {
        Self { lane, later: VecDeque::new(), back: VecDeque::new(), events: 0, is_held: false }
    }

    /// What goes back to the beginning of the lane.
    fn take_back(&mut self) -> VecDeque<Delivered> {
        let mut back = take(&mut self.back);
        back.append(&mut self.later);
        back
    }
}

/// An event to be claimed.
struct Waiting {
    /// Its lane's index in the batch.
    lane: usize,
    delivered: Delivered,
    event: Event,
}

/// A record that needs no more work, once the ledger knows its key.
struct Over {
    delivered: Delivered,
    route: Option<Arc<Route>>,
    key: Option<StoreKey>,
    how: How,
}

/// Events whose handlers have answered.
#[derive(Default)]
struct Handled {
    completions: Vec<Completion>,
    over: Vec<Over>,
    /// Since when the first of them is not told to the store.
    since: Option<Instant>,
    /// When their claims were asked for, and the shortest of their leases.
    leased: Option<(Instant, Duration)>,
}

impl<'a> Batch<'a> {
    fn new(partition: &'a Arc<Partition>, near: Option<Places>, lanes: usize) -> Self {
        Self {
            partition,
            near,
            lanes: Vec::with_capacity(lanes),
            over: Vec::new(),
            handled: Handled::default(),
            unused: Vec::new(),
            leaving: Vec::new(),
            place: None,
            is_quick: true,
            heavy: 0,
            now: Instant::now(),
        }
    }

    /// Decodes everything. Answers what is to be claimed: in order, no key twice.
    fn decode(&mut self, turns: Vec<Turn>) -> (Vec<Waiting>, Vec<ClaimRequest>) {
        let (mut events, mut requests) = (Vec::with_capacity(turns.len()), Vec::with_capacity(turns.len()));
        let mut keys = HashSet::with_capacity(turns.len());
        for (lane, Turn { lane: name, first, more }) in turns.into_iter().enumerate() {
            self.lanes.push(AtWork::new(name));
            for delivered in iter::once(first).chain(more) {
                if self.lanes[lane].is_held || !self.lanes[lane].later.is_empty() {
                    self.lanes[lane].later.push_back(delivered);
                    continue;
                }
                let Some((delivered, event)) = self.decode_one(lane, delivered) else { continue };
                let delivery = Delivery { partition: self.partition, record: &delivered.record };
                let request = delivery.claim_request(&event);
                if keys.insert(request.key.digest()) {
                    self.lanes[lane].events += 1;
                    events.push(Waiting { lane, delivered, event });
                    requests.push(request);
                } else {
                    // The store would call it busy; after this batch it is a duplicate.
                    self.lanes[lane].later.push_back(delivered);
                }
            }
        }
        (events, requests)
    }

    fn decode_one(&mut self, lane: usize, delivered: Delivered) -> Option<(Delivered, Event)> {
        let partition = self.partition;
        let replay = partition.topic.service.replay.as_deref();
        let (route, decoded) = decode(&partition.topic.table, &delivered.record);
        let how = match decoded {
            Decoded::Event(event) if replay.is_none() || event.route.handler.replayable() => {
                return Some((delivered, event));
            }
            Decoded::Event(_) => How::LeftOut,
            Decoded::Unwanted(what) => {
                let delivery = Delivery { partition, record: &delivered.record };
                delivery.handled(handler::Handled::Skipped(what.into()))
            }
            // Its letter was written when the live group met it.
            Decoded::Unfit(..) if replay.is_some_and(|replay| replay.was_passed(&delivered.record)) => {
                How::WasDead
            }
            // Those before it come first.
            Decoded::Unfit(..) if self.lanes[lane].events > 0 => {
                self.lanes[lane].later.push_back(delivered);
                return None;
            }
            Decoded::Unfit(disposition, why) => {
                self.leave(lane, delivered, Stage::Unfit(route.cloned(), disposition, why));
                return None;
            }
        };
        self.over.push(Over { delivered, route: route.cloned(), key: None, how });
        None
    }

    /// Does what the store's answer says.
    async fn answered(&mut self, waiting: Waiting, asked: Asked) {
        let Waiting { lane, delivered, event } = waiting;
        let how = match asked.claim {
            Claim::Done => How::Duplicate,
            Claim::Dead => How::WasDead,
            _ if self.lanes[lane].is_held || self.partition.stop.is_cancelled() => {
                self.unused.extend(asked.unused());
                return self.lanes[lane].back.push_back(delivered);
            }
            Claim::Won(grant) if grant.is_first() && self.may_begin(&event, asked.at) => {
                return self.begin(lane, delivered, event, asked, grant).await;
            }
            _ => return self.go_on_alone(lane, delivered, event, asked, None),
        };
        self.over.push(Over { delivered, route: Some(event.route), key: Some(asked.request.key), how });
    }

    /// Whether a handler may begin here and now.
    fn may_begin(&mut self, event: &Event, asked_at: Instant) -> bool {
        // What a replay claims may have been forgotten, and has to wait for its turn.
        if self.partition.topic.service.replay.is_some() {
            return false;
        }
        // Nobody renews the claims of a batch.
        if self.heavy >= HEAVY || self.now - asked_at > event.route.settings.lease / 4 {
            return false;
        }
        if self.place.is_none() {
            let service = &self.partition.topic.service;
            let place = service.capacity.try_place(self.partition.epoch);
            self.place = place.and_then(|place| Some((place, service.crowd.try_enter()?)));
        }
        self.place.is_some()
    }

    /// Runs a handler as far as it goes without waiting.
    async fn begin(&mut self, lane: usize, delivered: Delivered, event: Event, asked: Asked, grant: Grant) {
        crash_point("after_claim");
        let delivery = Delivery { partition: self.partition, record: &delivered.record };
        let ctx = delivery.context(&event, &grant, None);
        let began = self.now;
        let mut running = Running::begin(&event.job, &ctx, began);
        let step = poll_fn(|cx| Poll::Ready(running.step(cx, &event.route.metrics)));
        // What it may do at once must not depend on what its neighbours in the batch have done.
        let step = unconstrained(step).await;
        self.now = Instant::now();
        self.heavy += u32::from(self.now - began > QUICK);
        let state = match step {
            Poll::Pending => {
                self.is_quick = false;
                // It was there when the handler began.
                let Some((place, stay)) = self.place.take() else { return };
                BegunState::Waits(running, place, stay)
            }
            Poll::Ready(Attempt::Handled(answer))
                if answer != handler::Handled::Done || ctx.outbox().close_if_empty() =>
            {
                crash_point("after_effect");
                crash_point("after_publish");
                let how = delivery.handled(answer);
                let ClaimRequest { key, owner, retention, lease, fingerprint, .. } = asked.request;
                let shortest = self.handled.leased.map_or(lease, |(_, shortest)| shortest.min(lease));
                self.handled.leased = Some((asked.at, shortest));
                let entered = self.partition.topic.service.ledger.is_some().then(|| key.clone());
                let held = Held { key, owner, token: grant.token };
                let end = End::Done;
                let layout = self.partition.topic.service.claims.layout();
                let attempts = ctx.attempt();
                let completion = Completion { held, end, retention, attempts, fingerprint, layout };
                self.handled.completions.push(completion);
                self.handled.over.push(Over { delivered, route: Some(event.route), key: entered, how });
                if self.now - *self.handled.since.get_or_insert(began) > UNTOLD {
                    self.tell();
                }
                return;
            }
            Poll::Ready(attempt) => BegunState::Over(attempt),
        };
        self.go_on_alone(lane, delivered, event, asked, Some(Begun { ctx, state }));
    }

    fn go_on_alone(
        &mut self,
        lane: usize,
        delivered: Delivered,
        event: Event,
        asked: Asked,
        begun: Option<Begun>,
    ) {
        let near = self.near.as_mut().and_then(|near| near.split(1));
        self.leave(lane, delivered, Stage::Asked { event, asked, near, begun });
    }

    fn leave(&mut self, lane: usize, delivered: Delivered, stage: Stage) {
        self.lanes[lane].is_held = true;
        self.leaving.push((lane, delivered, stage));
    }

    /// Tells the store what was handled, while the rest of the batch runs.
    fn tell(&mut self) {
        let handled = take(&mut self.handled);
        let partition = Arc::clone(self.partition);
        self.partition.spawn(async move {
            // Stopped: whoever has the partition next meets duplicates.
            let _stopped = handled.finish(&partition, Vec::new()).await;
        });
    }

    async fn end(mut self) -> Result<(), Stopped> {
        drop(self.place.take());
        let leaving = take(&mut self.leaving).into_iter();
        let (first, then): (Vec<_>, Vec<_>) =
            leaving.partition(|(lane, ..)| self.lanes[*lane].back.is_empty());
        first.into_iter().for_each(|leaving| self.let_go(leaving));
        // A record that comes back must not be claimed anew before its claim is gone.
        self.give_back().await;
        then.into_iter().for_each(|leaving| self.let_go(leaving));
        let has_ledger = self.partition.topic.service.ledger.is_some();
        let ended = if has_ledger {
            // What the ledger does not take must not keep other events from being claimed.
            self.handled.over.append(&mut self.over);
            self.tell();
            Ok(())
        } else {
            self.handled.finish(self.partition, self.over).await
        };
        let free = self.lanes.into_iter().filter(|at_work| !at_work.is_held);
        self.partition.free(free.map(|mut at_work| {
            let back = at_work.take_back();
            (at_work.lane, back)
        }));
        ended
    }

    fn let_go(&mut self, (lane, delivered, stage): (usize, Delivered, Stage)) {
        let at_work = &mut self.lanes[lane];
        let back = at_work.take_back();
        self.partition.give_back(at_work.lane, back);
        self.partition.spawn(alone(Arc::clone(self.partition), at_work.lane, delivered, stage));
    }

    async fn give_back(&mut self) {
        let unused = take(&mut self.unused);
        if unused.is_empty() {
            return;
        }
        let (claims, stop) = (&self.partition.topic.service.claims, &self.partition.stop);
        if claims.release_all(&unused, stop).await.is_ok() {
            return;
        }
        let never = CancellationToken::new();
        if tokio::time::timeout(HAND_OVER, claims.release_all(&unused, &never)).await.is_err() {
            tracing::debug!(
                claims = unused.len(),
                "claims could not be given back; their leases end by themselves"
            );
        }
    }
}

impl Handled {
    /// Completes everything, and settles it together with what is `over`. As for one alone, the ledger comes first.
    async fn finish(self, partition: &Partition, mut over: Vec<Over>) -> Result<(), Stopped> {
        let service = &partition.topic.service;
        over.extend(self.over);
        let is_kept = service.ledger.is_some();
        let leased = self.leased.filter(|_| is_kept);
        let held = leased.map(|(asked, lease)| service.claims.hold_all(&self.completions, asked, lease));
        let entered = partition.enter(&ends(&over)).await;
        drop(held);
        if !self.completions.is_empty() {
            service.claims.complete_all(&self.completions).await;
            self.completions.iter().for_each(|_| crash_point("after_complete"));
        }
        entered?;
        let now = now_ms();
        for Over { delivered, route, how, .. } in &over {
            service.settled(partition.topic.metrics(route.as_deref()), *how, &delivered.record, now);
        }
        partition.settled(over.into_iter().map(|Over { delivered, how, .. }| {
            (Settled::new(partition.epoch, delivered.record.offset, how), delivered)
        }));
        Ok(())
    }
}

/// What the ledger is to hear of these.
fn ends(over: &[Over]) -> Vec<(&StoreKey, How)> {
    over.iter().filter_map(|over| Some((over.key.as_ref()?, over.how))).collect()
}

/// One record that has left its batch.
async fn alone(partition: Arc<Partition>, lane: Lane, delivered: Delivered, stage: Stage) {
    // Stopped: the rest of the lane belongs to whoever is assigned this partition next.
    let Ok(settled) = settle(&partition, &delivered.record, stage).await else { return };
    partition.settled([(settled, delivered)]);
    partition.free([(lane, VecDeque::new())]);
}
