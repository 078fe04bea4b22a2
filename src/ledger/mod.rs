//! What took effect, written down in Kafka for longer than the store remembers it.
//!
//! Each group has a compacted topic of its own, `<prefix>.ledger.<group>`, with one record per event and handler. It is
//! written after the store has heard the end of an event and before the event is settled: what the ledger does not have
//! yet is not committed and comes again. So it lags behind the store by unsettled events alone.
//!
//! The records of a replay do not come again by themselves. So a replay writes one entry more, before it runs an event:
//! of what it leaves behind when it dies in between, it is not known whether it took effect.
//!
//! Only replays read it, as a whole, and only where they reach beyond what the store remembers.

mod book;
mod entry;
mod keeper;
mod known;
mod reader;
mod since;

pub(crate) use book::{Book, Tell};
#[cfg(feature = "fuzzing")]
pub(crate) use entry::fuzz;
pub(crate) use entry::{Said, record, taken_away, topic};
pub(crate) use keeper::{KeepError, Keeper, Report, watch};
pub(crate) use known::Known;
pub(crate) use reader::Ledger;
pub(crate) use since::{Look, Since};
