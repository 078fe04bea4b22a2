//! The way of many records at once: decoded, claimed, handled, completed and settled together.
//!
//! A batch takes every event as far as it goes without waiting. One that needs more (its handler waits or fails, somebody
//! else has the claim, it is in doubt) leaves the batch and goes on alone, in [`settle`](super::settle).

mod answers;
mod at_work;
mod end;
mod granted;
mod handled;

use std::{collections::HashSet, future::poll_fn, iter, mem::take, sync::Arc, task::Poll};

use foldhash::fast::RandomState;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::{
    answers::Answers,
    at_work::AtWork,
    end::alone,
    handled::{Handled, Over},
};
use super::{
    How,
    capacity::Places,
    decode::{Decoded, Event},
    dedupe::Stopped,
    delivery::Delivery,
    dispatch::Stay,
    held::KeptBatch,
    lanes::{Delivered, Turn},
    source::Partition,
    stage::{Asked, Begun, Stage},
};
use crate::{
    outcome as handler,
    store::{ClaimRequest, Release},
};

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
        batch.kept = Some(partition.topic.service.claims.keep(&requests, &claims, at));
        batch.now = Instant::now();
        batch.handled.completions.reserve(requests.len());
        batch.handled.over.reserve(requests.len());
        let mut asked = events.into_iter().zip(requests).zip(claims);
        poll_fn(|cx| {
            for ((event, request), claim) in asked.by_ref() {
                let claim = event.event.remembering(claim);
                batch.answered(cx, event, Asked { request, claim, at });
            }
            Poll::Ready(())
        })
        .await;
    }
    // Where nothing was granted, nothing is known of the handlers.
    if batch.was_granted && batch.is_quick != was_quick {
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
    /// What handlers have answered.
    answers: Answers,
    /// Claims of which nothing has run.
    unused: Vec<Release>,
    /// Its claims are kept alive.
    kept: Option<Arc<KeptBatch>>,
    /// Fires when the unused claims are gone: no lane is free before.
    released: CancellationToken,
    /// What a handler needs to run, kept from one to the next.
    place: Option<(Places, Stay)>,
    was_granted: bool,
    /// What was granted has been handled here, without waiting.
    is_quick: bool,
    /// How many handlers have held their thread.
    heavy: u32,
    /// When the last handler came to its end, or the store had answered.
    now: Instant,
}

/// An event to be claimed.
struct Waiting {
    /// Its lane's index in the batch.
    lane: usize,
    delivered: Delivered,
    event: Event,
}

impl<'a> Batch<'a> {
    fn new(partition: &'a Arc<Partition>, near: Option<Places>, lanes: usize) -> Self {
        Self {
            partition,
            near,
            lanes: Vec::with_capacity(lanes),
            over: Vec::new(),
            handled: Handled::default(),
            answers: Answers::default(),
            unused: Vec::new(),
            kept: None,
            released: CancellationToken::new(),
            place: None,
            was_granted: false,
            is_quick: true,
            heavy: 0,
            now: Instant::now(),
        }
    }

    /// Decodes everything. Answers what is to be claimed: in order, no key twice.
    fn decode(&mut self, turns: Vec<Turn>) -> (Vec<Waiting>, Vec<ClaimRequest>) {
        let most = turns.iter().map(|turn| 1 + turn.more.len()).sum();
        let (mut events, mut requests) = (Vec::with_capacity(most), Vec::with_capacity(most));
        let mut keys = HashSet::with_capacity_and_hasher(most, RandomState::default());
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
        let (route, decoded) = partition.topic.decode(&delivered.record);
        let how = match decoded {
            Decoded::Event(mut event) if replay.is_none() || event.route.handler.replayable() => {
                let delivery = Delivery { partition, record: &delivered.record };
                event.span = partition.topic.span(&delivered.record, Some(&event.route));
                if delivery.may_pass(&event) {
                    return Some((delivered, event));
                }
                // Those before it come first.
                if self.lanes[lane].events > 0 {
                    self.lanes[lane].later.push_back(delivered);
                } else {
                    self.leave(lane, delivered, Stage::Shut(event));
                }
                return None;
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
        self.over.push(Over { delivered, route: route.cloned(), key: None, span: None, how });
        None
    }

    fn go_on_alone(
        &mut self,
        lane: usize,
        delivered: Delivered,
        event: Event,
        asked: Asked,
        begun: Option<Begun>,
    ) {
        self.answers.count();
        self.is_quick &= !asked.is_granted();
        let near = self.near.as_mut().and_then(|near| near.split(1));
        self.leave(lane, delivered, Stage::Asked { event, asked, near, begun });
    }

    fn leave(&mut self, lane: usize, delivered: Delivered, stage: Stage) {
        let at_work = &mut self.lanes[lane];
        at_work.is_held = true;
        let (partition, released) = (Arc::clone(self.partition), self.released.clone());
        self.partition.spawn(alone(partition, at_work.lane, delivered, stage, released));
    }

    /// Tells the store what was handled, and settles it and what is over, while the rest of the batch runs.
    fn tell(&mut self, over: Vec<Over>) {
        self.answers.count();
        let handled = Handled { kept: self.kept.clone(), ..take(&mut self.handled) };
        let partition = Arc::clone(self.partition);
        self.partition.spawn(async move {
            // Stopped: whoever has the partition next meets duplicates.
            let _stopped = handled.finish(&partition, over).await;
        });
    }
}
