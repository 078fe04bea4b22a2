//! The classical mistakes, for a test to see that they are found. Nothing makes them but a build with crash points that
//! is told to.

use super::{dedupe::Claims, dedupe_notes::granted};
use crate::store::{Claim, ClaimRequest, Completion, End, Held, Inspected, KnownState};

impl Claims {
    /// What must never be: it is for a test to see that this loses events.
    pub(super) async fn mark_before_work(&self, requests: &[ClaimRequest], answers: &[Claim]) {
        for (request, answer) in requests.iter().zip(answers) {
            let Some(grant) = granted(answer) else { continue };
            let held = Held {
                key: request.key.clone(),
                owner: request.owner.clone(),
                token: grant.token,
                hop: request.hop,
            };
            let (retention, layout) = (request.retention, self.layout);
            let done = Completion {
                held,
                end: End::Done,
                retention,
                attempts: 1,
                first_failure_ms: None,
                fingerprint: None,
                layout,
            };
            self.complete_at_last(&done).await;
        }
    }

    /// What must never be: a release that does not ask whose claim it is. It is for a test to see what that leads to.
    pub(super) async fn pretend_to_be_whoever_holds(&self, held: &mut Held) {
        let seen = self.caller.store.inspect(std::slice::from_ref(&held.key)).await;
        let Ok(Some(Inspected::Known(known))) = seen.map(|mut seen| seen.pop()) else { return };
        if let (KnownState::Claimed { owner, .. }, Some(token)) = (known.state, known.token) {
            held.owner = owner;
            held.token = token;
        }
    }
}
