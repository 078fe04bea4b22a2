//! What a handler may know about this run of it.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::Record;

/// What [`handle`](crate::Handler::handle) may know about this attempt.
#[derive(Debug, Clone)]
pub struct Context {
    pub(crate) record: Arc<Record>,
    pub(crate) idempotency_key: Arc<str>,
    pub(crate) fencing_token: u64,
    pub(crate) attempt: u32,
    pub(crate) cancelled: CancellationToken,
}

impl Context {
    /// Where the event came from.
    #[must_use]
    pub fn meta(&self) -> &Metadata {
        &self.record
    }

    /// Which attempt this is, from 1. Attempts of earlier deliveries and other pods count.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The same on every attempt, pod and replay of this event, and different for every handler: pass it to
    /// any service that takes an idempotency key. That closes the one gap that no store outside of the
    /// effect can close: a crash between the effect and its mark.
    #[must_use]
    pub fn idempotency_key(&self) -> &str {
        &self.idempotency_key
    }

    /// Grows with every claim on this event: `UPDATE … WHERE fence < $token` refuses a worker that was
    /// presumed dead and woke up again.
    #[must_use]
    pub fn fencing_token(&self) -> u64 {
        self.fencing_token
    }

    /// Fires when another worker has taken this event over, or finished it: what follows would be a second
    /// effect. A handler that can stop should.
    #[must_use]
    pub fn cancelled(&self) -> &CancellationToken {
        &self.cancelled
    }
}

/// Where an event came from: its record, without its value.
pub type Metadata = Record;
