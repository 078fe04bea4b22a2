//! Events on their way out: what a handler publishes, held back until it is done.

mod event;
mod outbox;
mod text;

pub use event::{Publication, PublishError};
pub(crate) use outbox::{Names, Origin, OriginKey, Outbox, Outgoing};
