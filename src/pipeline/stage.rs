//! A record that leaves its batch, and how far it has come there.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    capacity::Places,
    dead_letter::Disposition,
    decode::Event,
    dispatch::{Attempt, Running, Stay},
    pass::Pass,
    route::Route,
};
use crate::{
    Context,
    store::{Claim, ClaimRequest, Held, Release},
};

/// How far a record has come in its batch.
#[expect(
    clippy::large_enum_variant,
    reason = "the large one is what nearly all are; a box would cost each an allocation"
)]
pub(super) enum Stage {
    /// It holds nothing that can be handled.
    Unfit(Option<Arc<Route>>, Disposition, String),
    /// Its handler may not begin yet; nobody has asked for its claim.
    Shut(Event),
    /// The store has answered, and perhaps its handler has begun.
    Asked {
        event: Event,
        asked: Asked,
        /// Its place among those that have claims.
        near: Option<Places>,
        begun: Option<Begun>,
    },
}

/// What the store was asked, and has answered.
pub(super) struct Asked {
    pub(super) request: ClaimRequest,
    pub(super) claim: Claim,
    /// When it was asked.
    pub(super) at: Instant,
}

impl Asked {
    pub(super) fn is_granted(&self) -> bool {
        matches!(self.claim, Claim::Won(_) | Claim::TakenOver(_) | Claim::Spent(_))
    }

    /// How to give the claim back of which nothing has run, if it was granted.
    pub(super) fn unused(self) -> Option<Release> {
        let (Claim::Won(grant) | Claim::TakenOver(grant) | Claim::Spent(grant)) = self.claim else {
            return None;
        };
        let ClaimRequest { key, owner, retention, hop, .. } = self.request;
        // What was sent on may have ended before, and that must not be forgotten.
        let is_new = grant.is_first() && hop == 0 && matches!(self.claim, Claim::Won(_));
        Some(Release {
            held: Held { key, owner, token: grant.token, hop },
            delay: Duration::ZERO,
            // Nothing has happened that would have to be remembered.
            retention: if is_new { Duration::from_millis(1) } else { retention },
            attempts: grant.attempts,
            first_failure_ms: grant.first_failure_ms,
            in_doubt: matches!(self.claim, Claim::TakenOver(_)),
        })
    }
}

/// A handler that has begun under a claim that was won.
pub(super) struct Begun {
    pub(super) ctx: Context,
    pub(super) pass: Pass,
    pub(super) state: BegunState,
}

pub(super) enum BegunState {
    /// It waits, in the places that it needs to run.
    Waits(Running, Places, Stay),
    Over(Attempt),
}
