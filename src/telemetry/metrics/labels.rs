//! Label values as enums, so that no label can take a value nobody wrote down.

/// A closed set of values for one label.
pub trait Label: Copy + 'static {
    /// Every value, in the order of declaration.
    const ALL: &'static [Self];

    /// The text that metrics and headers show.
    fn as_str(self) -> &'static str;

    /// The position in [`Label::ALL`].
    fn index(self) -> usize;
}

macro_rules! label {
    ($(#[$doc:meta])* $name:ident { $($(#[$value_doc:meta])* $value:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$value_doc])* $value,)+ }

        impl Label for $name {
            const ALL: &'static [Self] = &[$(Self::$value),+];

            fn as_str(self) -> &'static str {
                match self { $(Self::$value => $text),+ }
            }

            fn index(self) -> usize {
                self as usize
            }
        }
    };
}

label! {
    /// How a record was settled.
    Outcome {
        /// The handler said done and the completion was written.
        Done = "done",
        /// The handler, or its route, did not want the record.
        Skipped = "skipped",
        /// The event had taken effect before.
        Duplicate = "duplicate",
        /// A copy waits in a retry topic.
        Deferred = "deferred",
        /// A dead letter was acknowledged.
        DeadLettered = "dead_lettered",
    }
}

label! {
    /// How one call of a handler ended.
    AttemptOutcome {
        /// The handler said done.
        Done = "done",
        /// The handler skipped the event.
        Skipped = "skipped",
        /// The handler asked to be called again.
        Retry = "retry",
        /// The handler refused the event for good.
        Rejected = "rejected",
        /// The call took longer than it may.
        TimedOut = "timed_out",
        /// The handler panicked.
        Panicked = "panicked",
        /// The call was cut off: its claim was lost, or the worker stopped.
        Cancelled = "cancelled",
    }
}

label! {
    /// Why a record was dead-lettered.
    Disposition {
        /// The handler refused the event.
        Rejected = "rejected",
        /// Attempts, time or take-overs were used up.
        Exhausted = "exhausted",
        /// The value could not be decoded.
        Undecodable = "undecodable",
        /// The dedupe key was empty.
        NoKey = "no-key",
        /// The same dedupe key came with another fingerprint.
        Mismatch = "mismatch",
        /// No handler takes this type of event.
        NoHandler = "no-handler",
        /// The broker refuses the record for its size.
        TooLarge = "too-large",
        /// A person decided so.
        Operator = "operator",
    }
}

label! {
    /// What the dedupe store answered.
    DedupeOutcome {
        /// A claim was won.
        Won = "won",
        /// A claim was won after somebody else's lease had run out.
        TakenOver = "taken_over",
        /// The event is done: a duplicate.
        Done = "done",
        /// The event is dead-lettered: a duplicate.
        Dead = "dead",
        /// A retry copy carries the event: a duplicate.
        Moved = "moved",
        /// Somebody else holds the claim.
        Busy = "busy",
        /// The event waits for its next attempt.
        BackingOff = "backing_off",
        /// The payload has killed its worker too often.
        Spent = "spent",
        /// The same key with another fingerprint.
        Mismatch = "mismatch",
        /// A value in the store that this version cannot read.
        Foreign = "foreign",
        /// A completion was written.
        Completed = "completed",
        /// A completion found the event finished by another owner: a double effect.
        AlreadyFinished = "already_finished",
        /// A claim turned out to belong to somebody else.
        Stolen = "stolen",
        /// A claim was gone from the store.
        Lost = "lost",
        /// A claim was given back.
        Released = "released",
    }
}

label! {
    /// A call to the dedupe store.
    DedupeOperation {
        /// Ask for the right to run.
        Claim = "claim",
        /// Prolong the leases in flight.
        Renew = "renew",
        /// Write down that an event is finished.
        Complete = "complete",
        /// Give a claim back.
        Release = "release",
        /// Free a dead event for its redrive.
        Reopen = "reopen",
    }
}

label! {
    /// How a commit of offsets ended.
    CommitOutcome {
        /// The broker has acknowledged it.
        Committed = "committed",
        /// The broker or the network refused it; the next one covers it.
        Failed = "failed",
        /// It belonged to an older assignment and was discarded.
        Stale = "stale",
    }
}

label! {
    /// A change of the assignment.
    RebalanceKind {
        /// Partitions came.
        Assigned = "assigned",
        /// Partitions were handed over in order.
        Revoked = "revoked",
        /// Partitions were already somebody else's when we heard of it.
        Lost = "lost",
    }
}

label! {
    /// Where a fault happened; a failing handler is no fault.
    Component {
        /// Reading from Kafka, or the group.
        Kafka = "kafka",
        /// The dedupe store.
        Store = "store",
        /// Writing a dead letter.
        DeadLetter = "dead_letter",
        /// Writing the copy of a record to a retry topic.
        RetryTopic = "retry_topic",
        /// Writing a handler's outgoing events.
        Publish = "publish",
        /// Writing or reading the ledger.
        Ledger = "ledger",
    }
}
