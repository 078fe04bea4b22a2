//! The seven steps, in the order they run:
//! `source → decode → dedupe → dispatch → retry → dead_letter → commit`.
//!
//! A record goes one way. `source` takes it in, `settle` takes it through the five steps in the middle,
//! and only [`commit`] says which offsets may be committed. It accepts nothing but [`Settled`], which only
//! `settle` can make.

mod batch;
mod batcher;
mod breaker;
mod caller;
mod capacity;
pub mod commit;
pub mod dead_letter;
pub mod decode;
mod dedupe;
mod dedupe_batch;
mod dedupe_notes;
mod deferring;
pub mod delays;
mod delivery;
mod dispatch;
mod ending;
mod failing;
mod failure;
mod feed;
pub mod finished;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod gate;
mod gates;
mod giving_up;
mod held;
mod hold;
mod lanes;
mod ledger;
mod limits;
mod mistakes;
mod outage;
mod pace;
mod panics;
mod pass;
mod produce;
mod publish;
mod rate;
mod renewals;
mod replaying;
pub mod retry;
mod route;
mod running;
pub mod sent_on;
mod settle;
mod settled;
mod source;
pub(crate) mod spring;
mod stage;
mod status;
mod turns;

pub(crate) use capacity::Capacity;
pub(crate) use dead_letter::now_ms;
pub(crate) use decode::{Decoded, Event, decode};
pub(crate) use dedupe::Claims;
pub(crate) use dispatch::Crowd;
pub(crate) use feed::{Feed, Fetched};
pub use finished::Finished;
pub(crate) use gate::Gate;
pub(crate) use gates::{GateView, Gates};
pub(crate) use hold::Hold;
pub(crate) use limits::Limits;
pub(crate) use pace::Pace;
pub(crate) use panics::log_places_only;
pub(crate) use produce::{NewRecord, ProduceError, Producer};
pub(crate) use replaying::{Epoch, Replaying};
pub(crate) use route::{Route, RouteSettings, ServiceRun, Told, Topic};
pub use settled::{How, Settled};
pub(crate) use source::{Bounds, Committable, Partition, next_epoch};
pub(crate) use status::{Status, age};
