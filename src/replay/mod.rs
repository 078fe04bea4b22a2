//! Runs a range of the past again, so that only what has never taken effect does so now.
//!
//! A replay reads with a consumer of its own, which joins no group and commits nothing, and hands the records to the
//! pipeline of live events: the same claims, retries and dead letters. What took effect is skipped, what live workers
//! are busy with is waited for.
//!
//! | records…                      | are                                                                            |
//! |-------------------------------|--------------------------------------------------------------------------------|
//! | of a time in the range        | replayed, wherever they lie before the end of the log at the start of the replay |
//! | of another time               | passed over and counted; with `--in-order`, reading ends at the first that is too young |
//! | without a time                | in no range of time: passed over and counted; in a range of offsets, replayed  |
//! | which cannot be decoded       | dead-lettered, unless the live group has passed them and done so before        |

mod act;
mod allowance;
mod bound;
mod error;
mod guarded;
mod journal;
mod judge;
mod notes;
mod order;
mod plan;
mod reading;
mod recognise;
mod replayer;
mod request;
mod rewind;
mod run;
mod scene;
mod survey;
mod taken;
mod tally;

pub(crate) use act::{Acted, refuse_unknown};
pub(crate) use allowance::Allowance;
pub use bound::{Bound, BoundError};
pub(crate) use error::ReplayError;
pub use journal::{Entry, Part, State};
pub(crate) use journal::{Journal, ResumeError};
pub use judge::Verdict;
pub(crate) use order::name;
pub use order::{Mode, Order, parse_partitions};
pub(crate) use replayer::{Ran, Replayer};
pub(crate) use request::{Request, RequestedMode};
pub(crate) use rewind::{Move, Rewind};
pub use survey::{Sample, Survey};
pub use tally::Tally;
