use std::time::Duration;

use super::{Owner, StoreKey};

/// Names a claim that was granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// What is claimed.
    pub key: StoreKey,
    /// The delivery that holds it.
    pub owner: Owner,
    /// The token it was granted.
    pub token: u64,
    /// The hop it was claimed with.
    pub hop: u32,
}

/// Asks to keep a claim.
#[derive(Debug, Clone)]
pub struct Renewal {
    /// The claim.
    pub held: Held,
    /// How long it holds from now.
    pub lease: Duration,
    /// How long the record is remembered from now.
    pub retention: Duration,
    /// Attempts so far.
    pub attempts: u32,
    /// When the event failed for the first time, in milliseconds since 1970.
    pub first_failure_ms: Option<i64>,
    /// Whom to suspect should the process die now.
    pub run: Run,
    /// As in the claim; `None` keeps what is recorded.
    pub fingerprint: Option<u64>,
}

/// Whether the handler runs under a claim, so that the death of its process finds the event to blame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Run {
    /// Nobody has said that it has begun.
    Unknown,
    /// It has begun, beside others: each of them may be to blame.
    InCrowd,
    /// It has begun, with nothing else in flight: this event is to blame.
    Alone,
}

/// The answer to a [`Renewal`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewed {
    /// The claim is still ours, even when its lease had run out and nobody took it.
    Kept,
    /// It is not ours any more: another owner holds it, or it is free.
    Stolen,
    /// Another owner has finished the event.
    Finished,
    /// The store had lost it; it was made again with our token.
    Recreated,
    /// The store holds a value that this version cannot read.
    Foreign,
    /// The part of the store that has it did not answer, unlike others: nothing is known, and it may be asked again.
    Unanswered,
}

/// How an event ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum End {
    /// It took effect.
    Done,
    /// Its dead letter was acknowledged.
    Dead,
    /// It was sent on, to be tried later: its copy was acknowledged. Attempts and first failure are kept for that one.
    Moved,
}

/// How a store is to keep the end of an event. A store may know one way only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Layout {
    /// As a record of its own, with everything that is known of it.
    #[default]
    Keys,
    /// In short, among others, where that is possible: how it ended and until when it is remembered are kept, and for
    /// the rest less is promised. Its attempts are not known, its token only so far that another's completion is taken
    /// for a repetition once in [`SHORT_TOKENS`](Layout::SHORT_TOKENS) times (never that of the owner right before or
    /// after, where the record was not lost in between), and it is remembered up to a sixth of its
    /// retention longer, or a quarter of an hour. An end with a fingerprint is kept as a record of its own, and so is
    /// one that may be open again to a copy of its event.
    Compact,
}

impl Layout {
    /// How many tokens an end in short can tell apart: their remainders are kept.
    pub const SHORT_TOKENS: u64 = 4_096;
}

/// Records an end.
#[derive(Debug, Clone)]
pub struct Completion {
    /// The claim the event ran under.
    pub held: Held,
    /// How it ended.
    pub end: End,
    /// How long the end is remembered.
    pub retention: Duration,
    /// Attempts in all.
    pub attempts: u32,
    /// When the event failed for the first time, in milliseconds since 1970; only [`End::Moved`] keeps it.
    pub first_failure_ms: Option<i64>,
    /// As in the claim; `None` keeps what is recorded.
    pub fingerprint: Option<u64>,
    /// How the end is to be kept.
    pub layout: Layout,
}

/// The answer to a [`Completion`]. Whatever it is, there is nothing left to do for the asker; and the event is finished,
/// except for [`Completed::Foreign`] and where what somebody else has begun is respected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completed {
    /// Recorded under our claim, now or by an earlier try of the same completion; [`End::Moved`] also when it was given
    /// back before and nobody has claimed it since.
    Recorded,
    /// Another owner had finished the event before: where both took effect, it did so twice.
    AlreadyFinished,
    /// The claim was not ours any more, or the event had been moved or dead-lettered. An effect is recorded, so that
    /// whoever holds the event, or sends it on, finds out. [`End::Moved`] and [`End::Dead`] end nothing that somebody else
    /// has begun.
    Stolen,
    /// The store had lost the claim; recorded.
    Lost,
    /// The store holds a value that this version cannot read. Nothing was written.
    Foreign,
}

/// Gives a claim back.
#[derive(Debug, Clone)]
pub struct Release {
    /// The claim.
    pub held: Held,
    /// How long nobody may claim it.
    pub delay: Duration,
    /// How long the record is remembered from now.
    pub retention: Duration,
    /// Attempts so far.
    pub attempts: u32,
    /// When the event failed for the first time, in milliseconds since 1970.
    pub first_failure_ms: Option<i64>,
    /// It was taken over after a lease ran out, and nobody has found out whether it took effect before: the next
    /// claim is answered as a take-over, too.
    pub in_doubt: bool,
}

/// The answer to a [`Release`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Released {
    /// Free again after the delay, now or by an earlier try of the same release.
    Released,
    /// Another owner holds it, or the store does not know it: there is nothing to give back.
    NotOurs,
    /// The event is finished.
    Finished,
    /// The store holds a value that this version cannot read.
    Foreign,
}
