//! What the store has answered, and the handlers that may begin: each as far as it goes without waiting.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::{self, Poll},
    time::Duration,
};

use tokio::{task::coop::unconstrained, time::Instant};

use super::{Batch, Waiting, handled::Over};
use crate::{
    crash::crash_point,
    outcome as handler,
    pipeline::{
        How,
        decode::Event,
        delivery::Delivery,
        dispatch::{Attempt, Running},
        lanes::Delivered,
        pass::Pass,
        stage::{Asked, Begun, BegunState},
    },
    store::{Claim, ClaimRequest, Completion, End, Grant, Held},
};

/// A handler that holds its thread longer than this is heavy, or the system has given the thread's processor away.
pub(super) const QUICK: Duration = Duration::from_micros(200);
/// After so many heavy handlers those that follow in the batch get tasks of their own.
const HEAVY: u32 = 2;

impl Batch<'_> {
    /// Does what the store's answer says.
    pub(super) fn answered(&mut self, cx: &mut task::Context<'_>, waiting: Waiting, asked: Asked) {
        let Waiting { lane, delivered, event } = waiting;
        self.was_granted |= asked.is_granted();
        let how = match asked.claim {
            Claim::Done => How::Duplicate,
            Claim::Dead => How::WasDead,
            Claim::Moved => How::WasMoved,
            _ if self.lanes[lane].is_held || self.begins_nothing() => {
                self.unused.extend(asked.unused());
                return self.lanes[lane].back.push_back(delivered);
            }
            Claim::Won(grant) if grant.is_first() => match self.may_begin(&event, asked.at) {
                Some(pass) => return self.begin(cx, lane, delivered, event, asked, (grant, pass)),
                None => return self.go_on_alone(lane, delivered, event, asked, None),
            },
            _ => return self.go_on_alone(lane, delivered, event, asked, None),
        };
        let Event { route, span, .. } = event;
        self.over.push(Over { delivered, route: Some(route), key: Some(asked.request.key), span, how });
    }

    /// Whether the partition is to stop, or a person has paused it.
    fn begins_nothing(&self) -> bool {
        self.partition.is_stopping() || self.partition.topic.hold.is_closed()
    }

    /// Whether a handler may begin here and now.
    fn may_begin(&mut self, event: &Event, asked_at: Instant) -> Option<Pass> {
        // What a replay claims may have been forgotten, and has to wait for its turn.
        if self.partition.topic.service.replay.is_some() {
            return None;
        }
        if self.heavy >= HEAVY {
            // Those who go on alone may hold every thread: what has taken effect does not wait behind them.
            if !self.handled.completions.is_empty() {
                self.tell(Vec::new());
            }
            return None;
        }
        // Nobody renews the claims of a batch.
        if self.now - asked_at > event.route.settings.lease / 4 {
            return None;
        }
        if self.place.is_none() {
            let service = &self.partition.topic.service;
            let place = service.capacity.try_place(self.partition.epoch);
            self.place = place.and_then(|place| Some((place, service.crowd.try_enter()?)));
        }
        self.place.as_ref().and_then(|_| event.route.gate.try_pass())
    }

    /// Runs a handler as far as it goes without waiting.
    fn begin(
        &mut self,
        cx: &mut task::Context<'_>,
        lane: usize,
        delivered: Delivered,
        event: Event,
        asked: Asked,
        (grant, mut pass): (Grant, Pass),
    ) {
        crash_point("after_claim");
        let delivery = Delivery { partition: self.partition, record: &delivered.record };
        let ctx = delivery.context(&event, &grant, None);
        let began = self.now;
        let mut running = Running::begin(&event.job, &ctx, began);
        // What it may do at once must not depend on what its neighbours in the batch have done.
        let step = match pin!(unconstrained(poll_fn(|cx| running.step(cx)))).poll(cx) {
            Poll::Ready((attempt, outcome, ended)) => {
                self.answers.ended(&event.route, outcome, ended - began);
                self.now = ended;
                Poll::Ready(attempt)
            }
            Poll::Pending => {
                self.now = Instant::now();
                Poll::Pending
            }
        };
        let took = self.now - began;
        self.heavy += u32::from(took > QUICK);
        let has_waited = self.handled.has_waited(took);
        let state = match step {
            Poll::Pending => {
                // It was there when the handler began.
                let Some((place, stay)) = self.place.take() else { return };
                pass.is_under_way(&event.route.gate);
                BegunState::Waits(running, place, stay)
            }
            Poll::Ready(Attempt::Handled(answer))
                if answer != handler::Handled::Done || ctx.outbox().close_if_empty() =>
            {
                self.answers.answered(pass, self.now);
                crash_point("after_effect");
                crash_point("after_publish");
                let how = delivery.handled(answer);
                let ClaimRequest { key, owner, retention, fingerprint, hop, .. } = asked.request;
                let entered = self.partition.topic.service.ledger.is_some().then(|| key.clone());
                let held = Held { key, owner, token: grant.token, hop };
                let end = End::Done;
                let layout = self.partition.topic.service.claims.layout();
                let attempts = ctx.attempt();
                let first_failure_ms = None;
                let completion =
                    Completion { held, end, retention, attempts, first_failure_ms, fingerprint, layout };
                self.handled.completions.push(completion);
                let Event { route, span, .. } = event;
                self.handled.over.push(Over { delivered, route: Some(route), key: entered, span, how });
                if has_waited {
                    self.tell(Vec::new());
                }
                return;
            }
            Poll::Ready(attempt) => {
                pass.ended_at_once(&event.route.gate);
                BegunState::Over(attempt)
            }
        };
        self.go_on_alone(lane, delivered, event, asked, Some(Begun { ctx, pass, state }));
    }
}
