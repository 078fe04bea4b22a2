//! A handler whose effects are counted.

use std::time::Duration;

use super::{
    history::{Place, Pod, What},
    plan::Id,
    pod::Seam,
    world::HANDLER,
};
use crate::{prelude::*, testing::fate::State};

/// What an attempt comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    Done,
    Skip,
    Retry,
    RetryLater,
    RetryAfterEffect,
    Reject,
    Panic,
    PanicAfterEffect,
    Hang,
    HangAfterEffect,
    Die,
}

impl Act {
    /// Those of an attempt that does not go as it should.
    pub(super) const BAD: [Self; 8] = [
        Self::Skip,
        Self::Retry,
        Self::RetryLater,
        Self::RetryAfterEffect,
        Self::Panic,
        Self::PanicAfterEffect,
        Self::Hang,
        Self::HangAfterEffect,
    ];

    /// Those while nobody answers: most are refused, some are never heard of.
    pub(super) const OF_AN_OUTAGE: [Self; 4] = [Self::Retry, Self::Retry, Self::RetryLater, Self::Hang];

    fn has_effect(self) -> bool {
        matches!(self, Self::Done | Self::RetryAfterEffect | Self::PanicAfterEffect | Self::HangAfterEffect)
    }
}

/// Takes effect in the world.
pub(super) struct Effect(pub(super) Seam);

impl Handler for Effect {
    const NAME: &'static str = HANDLER;
    type Event = (Id, u16);

    fn dedupe_key(&self, event: &(Id, u16), _: &Metadata) -> DedupeKey {
        if event.0 == 0 { DedupeKey::of("") } else { DedupeKey::of(event.0) }
    }

    fn fingerprint(&self, event: &(Id, u16)) -> Option<Fingerprint> {
        Some(Fingerprint::of(event.1.to_le_bytes()))
    }

    async fn handle(&self, event: &(Id, u16), ctx: &Context) -> Outcome {
        let (seam, id) = (&self.0, event.0);
        let by = (seam.pod, ctx.fencing_token());
        let place = Place(usize::try_from(ctx.meta().partition).unwrap_or(0), ctx.meta().offset);
        seam.world.happen(What::Begun { by, id, place });
        let mut attempt = Attempt { seam, by, id, is_over: false };
        let act = seam.world.act(id);
        seam.linger().await;
        if act == Act::Die {
            seam.die();
        }
        seam.step().await;
        if act.has_effect() {
            seam.world.happen(What::Effect { by, id });
        }
        seam.linger().await;
        seam.step().await;
        let outcome = match act {
            Act::Done => done(),
            Act::Skip => skip("there is nothing to do"),
            Act::Retry | Act::RetryAfterEffect => Err(Failure::retry("busy")),
            Act::RetryLater => Err(Failure::retry_after(Duration::from_secs(2), "busy")),
            Act::Reject => Err(Failure::reject("refused")),
            // Without the hook that prints.
            Act::Panic | Act::PanicAfterEffect => std::panic::resume_unwind(Box::new("on purpose")),
            Act::Hang | Act::HangAfterEffect | Act::Die => std::future::pending().await,
        };
        attempt.is_over = true;
        seam.world.happen(What::Answered { by, id, is_ok: outcome.is_ok() });
        outcome
    }

    async fn was_applied(&self, event: &(Id, u16), _: &Context) -> Result<bool, Failure> {
        let world = &self.0.world;
        if !world.plan.knows {
            return Ok(false);
        }
        self.0.linger().await;
        self.0.step().await;
        let mut things = world.things();
        let rate = if things.is_calm { 0 } else { world.plan.rates.attempt };
        if things.dice.thousandths(rate) {
            return Err(Failure::retry("cannot say"));
        }
        Ok(things.checker.has_effect(event.0))
    }
}

/// An attempt that is dropped before it has answered was cut off.
struct Attempt<'a> {
    seam: &'a Seam,
    by: (Pod, u64),
    id: Id,
    is_over: bool,
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if !self.is_over && self.seam.fate.state() != State::Dead {
            self.seam.world.happen(What::Answered { by: self.by, id: self.id, is_ok: false });
        }
    }
}

impl Seam {
    /// What a handler waits for: nothing, a moment, or longer than a lease.
    async fn linger(&self) {
        let time = {
            let mut things = self.world.things();
            let slow = if things.is_calm { 0 } else { self.world.plan.rates.slow };
            if !things.dice.thousandths(slow) {
                return;
            }
            if things.dice.below(4) == 0 { things.dice.millis(500..5_000) } else { things.dice.millis(0..80) }
        };
        tokio::time::sleep(time).await;
        self.fate.gate().await;
    }
}
