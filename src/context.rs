//! What a handler may know about this run of it.

use std::sync::{Arc, OnceLock};

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::{
    Publication, PublishError, Record,
    pipeline::NewRecord,
    publication::{Origin, Outbox},
    telemetry::spans::{Process, Sending},
};

/// What [`handle`](crate::Handler::handle) may know about this attempt.
#[derive(Debug, Clone)]
pub struct Context(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    run: Run,
    /// Made when it is asked for.
    idempotency_key: OnceLock<String>,
    outbox: Outbox,
}

/// One attempt, for making its context.
#[derive(Debug)]
pub(crate) struct Run {
    /// What the handler sees of the record.
    pub(crate) record: Arc<Record>,
    /// The record as it was delivered.
    pub(crate) delivered: Arc<Record>,
    pub(crate) fencing_token: u64,
    pub(crate) attempt: u32,
    /// Made when it is asked for.
    pub(crate) cancelled: OnceLock<CancellationToken>,
    pub(crate) replay: bool,
    /// The span of the work on the record, of which the attempt is a part.
    pub(crate) span: Option<Arc<Process>>,
}

impl Context {
    pub(crate) fn new(run: Run, origin: Origin) -> Self {
        let outbox = Outbox::new(origin, Arc::clone(&run.delivered));
        let outbox = match &run.span {
            Some(span) => outbox.within(span.part()),
            None => outbox,
        };
        Self(Arc::new(Inner { run, idempotency_key: OnceLock::new(), outbox }))
    }

    /// With this idempotency key, whatever its origin.
    #[cfg(feature = "testing")]
    pub(crate) fn called(self, idempotency_key: &str) -> Self {
        drop(self.0.idempotency_key.set(idempotency_key.to_owned()));
        self
    }

    /// The record as it was delivered.
    pub(crate) fn delivered(&self) -> &Record {
        &self.0.run.delivered
    }

    pub(crate) fn outbox(&self) -> &Outbox {
        &self.0.outbox
    }

    /// The span of the work on the record, where somebody records it.
    pub(crate) fn span(&self) -> Option<&Process> {
        self.0.run.span.as_deref()
    }

    /// Has an event out say that this attempt sent it, where somebody records that.
    pub(crate) fn sending(&self, record: &mut NewRecord) -> Option<Sending> {
        Sending::from(self.span()?, Some(*self.outbox().trace()), record, false)
    }

    /// Where the event came from.
    #[must_use]
    pub fn meta(&self) -> &Metadata {
        &self.0.run.record
    }

    /// Which attempt this is, from 1. Attempts of earlier deliveries and other pods count.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.0.run.attempt
    }

    /// The same on every attempt, pod and replay of this event, and different for every handler: pass it to
    /// any service that takes an idempotency key. That closes the one gap that no store outside of the
    /// effect can close: a crash between the effect and its mark.
    #[must_use]
    pub fn idempotency_key(&self) -> &str {
        self.0.idempotency_key.get_or_init(|| {
            let Origin { names, handler, key } = &self.outbox().origin;
            format!("{}.{handler}:{key}", names.group)
        })
    }

    /// Whether this is a replay of the past rather than the event's own time.
    #[must_use]
    pub fn is_replay(&self) -> bool {
        self.0.run.replay
    }

    /// Grows with every claim on this event: `UPDATE … WHERE fence < $token` refuses a worker that was
    /// presumed dead and woke up again.
    #[must_use]
    pub fn fencing_token(&self) -> u64 {
        self.0.run.fencing_token
    }

    /// Fires when another worker has taken this event over, or finished it: what follows would be a second
    /// effect. A handler that can stop should.
    #[must_use]
    pub fn cancelled(&self) -> &CancellationToken {
        self.0.run.cancelled.get_or_init(CancellationToken::new)
    }

    /// Publishes `event` as JSON under the record key `key` to the topic of this logical name, which the
    /// service has to declare ([`Service::publishes`](crate::Service::publishes)).
    ///
    /// It is held back until the handler says [`done`](crate::done()), then sent, and the event that was handled
    /// is only marked as done when the broker has acknowledged it. Whatever else the handler answers, nothing
    /// is published. Its id (`ce_id` under `ce_source`, the service) derives from the dedupe key and from how
    /// many were published before it: a handler that runs again emits the same ids, and the next service drops
    /// the repeats.
    ///
    /// # Errors
    /// The topic is not declared, or the event cannot be written as JSON; `?` makes either a rejection.
    pub fn publish<E: Serialize>(
        &self,
        topic: impl Into<String>,
        key: impl AsRef<[u8]>,
        event: &E,
    ) -> Result<(), PublishError> {
        self.send(Publication::json(topic, key, event)?)
    }

    /// The same for an event with another encoding, type, or a name of its own instead of its position.
    ///
    /// # Errors
    /// The topic is not declared, or another event of this attempt has the name.
    pub fn send(&self, publication: Publication) -> Result<(), PublishError> {
        self.outbox().add(publication)
    }

    /// What has been published so far, as text. An *inbox* stores it in the transaction of the effect and its
    /// mark, so that whoever finds the mark can publish it.
    ///
    /// # Errors
    /// Never in practice: the text is JSON of texts.
    pub fn stored_publications(&self) -> Result<String, PublishError> {
        self.outbox().to_text()
    }

    /// Publishes what had been stored with the mark, in the place of anything published so far.
    ///
    /// # Errors
    /// The text is not what [`stored_publications`](Self::stored_publications) wrote.
    pub fn restore_publications(&self, text: &str) -> Result<(), PublishError> {
        self.outbox().restore(text)
    }

    /// The trace this attempt belongs to, as the value of a `traceparent` header: for calls to other services.
    /// Events that are published carry it by themselves.
    #[must_use]
    pub fn traceparent(&self) -> String {
        self.outbox().trace().to_header_value()
    }
}

/// Where an event came from: its record, without its value.
pub type Metadata = Record;
