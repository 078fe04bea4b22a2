//! What the store's answers are counted and noted as.

use crate::{
    evidence::{self, Happened, Note},
    store::{Claim, ClaimRequest, Completed, Completion, End, Grant},
    telemetry::metrics::{DedupeOutcome, Label},
};

/// What the store granted.
pub(super) fn granted(answer: &Claim) -> Option<&Grant> {
    match answer {
        Claim::Won(grant) | Claim::TakenOver(grant) | Claim::Spent(grant) => Some(grant),
        _ => None,
    }
}

pub(super) fn claim_outcome(answer: &Claim) -> DedupeOutcome {
    match answer {
        Claim::Won(_) => DedupeOutcome::Won,
        Claim::TakenOver(_) => DedupeOutcome::TakenOver,
        Claim::Done => DedupeOutcome::Done,
        Claim::Dead => DedupeOutcome::Dead,
        Claim::Moved => DedupeOutcome::Moved,
        Claim::Busy { .. } => DedupeOutcome::Busy,
        Claim::BackingOff { .. } => DedupeOutcome::BackingOff,
        Claim::Spent(_) => DedupeOutcome::Spent,
        Claim::Mismatch { .. } => DedupeOutcome::Mismatch,
        Claim::Foreign => DedupeOutcome::Foreign,
    }
}

pub(super) fn note_claim(request: &ClaimRequest, answer: &Claim) {
    let (grant, outcome) = (granted(answer), claim_outcome(answer).as_str());
    evidence::note(|| Note {
        token: grant.map(|grant| grant.token),
        attempt: grant.map(|grant| grant.attempts.saturating_add(1)),
        outcome: Some(outcome),
        ..Note::claim(Happened::Claimed, &request.key, &request.owner)
    });
}

pub(super) fn note_completion(completion: &Completion, recorded: Completed) -> Note<'_> {
    let outcome = match (recorded, completion.end) {
        (Completed::Recorded, End::Done) => "done",
        (Completed::Recorded, End::Dead) => "dead",
        (Completed::Recorded, End::Moved) => "moved",
        (Completed::AlreadyFinished, _) => "already_finished",
        (Completed::Stolen, _) => "stolen",
        (Completed::Lost, _) => "lost",
        (Completed::Foreign, _) => "foreign",
    };
    Note {
        attempt: Some(completion.attempts),
        outcome: Some(outcome),
        ..Note::held(Happened::Completed, &completion.held)
    }
}
