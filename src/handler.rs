//! What the author of a service implements.

use std::{fmt, future::Future, time::Duration};

use crate::{CloudEvent, Context, Failure, Metadata, Outcome, RetryPolicy};

/// One kind of event, and what to do about it.
///
/// A handler says what only its author can know: what the event looks like ([`Event`](Self::Event)), which
/// deliveries are the same event ([`dedupe_key`](Self::dedupe_key)), and what to do
/// ([`handle`](Self::handle)). Everything an operator tunes lives in the configuration.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an event handler",
    note = "implement `oncewise::Handler` for `{Self}`: NAME, Event, dedupe_key and handle"
)]
pub trait Handler: Send + Sync + 'static {
    /// Stable name, `[a-z0-9_]+`: labels metrics, is part of the dedupe keys, stamps dead letters, names the
    /// handler in the configuration. **Renaming a handler forgets every event it has seen.**
    const NAME: &'static str;

    /// The event, decoded before [`handle`](Self::handle) is called.
    type Event: Send + Sync + 'static;

    /// What makes two deliveries the same event. An empty key is dead-lettered.
    fn dedupe_key(&self, event: &Self::Event, meta: &Metadata) -> DedupeKey;

    /// Does the work. Called again, with the same event, for every attempt.
    fn handle(&self, event: &Self::Event, ctx: &Context) -> impl Future<Output = Outcome> + Send;

    /// How failures are retried, unless the configuration says otherwise.
    fn retry_policy(&self) -> RetryPolicy {
        RetryPolicy::default()
    }

    /// How long the store remembers a settled event, unless the configuration says otherwise: the longest distance
    /// at which a repetition is noticed. `None` is the worker's own 8 days. Less than a topic keeps its records is
    /// allowed, and every start warns about it.
    fn ttl(&self) -> Option<Duration> {
        None
    }

    /// How many attempts may begin in a second, unless the configuration says otherwise: for what serves only so many. It
    /// counts for each process by itself.
    fn rate_limit(&self) -> Option<u32> {
        None
    }

    /// How old a record is at its first attempt, unless the configuration says otherwise: for what has to wait for others. It
    /// is counted from the record's own time, and one that is older starts at once.
    fn first_delay(&self) -> Option<Duration> {
        None
    }

    /// Whether this event has already taken effect. Asked after another worker's claim ran out, that is, when it may
    /// have died between the effect and the mark, and before an event that was tried before is dead-lettered.
    /// `Ok(true)` marks the event as done without running [`handle`](Self::handle); the default does not know and lets
    /// it run.
    ///
    /// **A handler that publishes has to publish here, too, before it answers `Ok(true)`**: what was to go out with
    /// the effect may not have been sent, and is lost otherwise. An inbox does so by
    /// [`Context::restore_publications`].
    ///
    /// # Errors
    /// A [`Failure`] counts as a failed attempt; before a dead letter it is asked for again.
    fn was_applied(
        &self,
        _event: &Self::Event,
        _ctx: &Context,
    ) -> impl Future<Output = Result<bool, Failure>> + Send {
        async { Ok(false) }
    }

    /// Whether a replay may run this handler. One that must only ever act at the moment itself says no; replays then
    /// leave its events alone, and say how many those were.
    fn replayable(&self) -> bool {
        true
    }

    /// What an event of the same key must agree on. Two events of one key with different fingerprints mean
    /// that somebody reused an id: the second is dead-lettered as `mismatch`. The default compares nothing.
    fn fingerprint(&self, _event: &Self::Event) -> Option<Fingerprint> {
        None
    }
}

/// What makes two deliveries the same event.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DedupeKey {
    text: String,
    /// The header that would have told, of a record that is no CloudEvent.
    missing: Option<&'static str>,
}

impl DedupeKey {
    /// A key from anything that prints.
    pub fn of(id: impl fmt::Display) -> Self {
        Self { text: id.to_string(), missing: None }
    }

    /// Source and id of a CloudEvent, which together are unlike those of any other; empty if the record is none.
    #[must_use]
    pub fn cloud_event(meta: &Metadata) -> Self {
        match CloudEvent::of(meta) {
            // With the length of the source in front, no two pairs make one text.
            Ok(event) => Self::of(format_args!("{}:{}:{}", event.source().len(), event.source(), event.id())),
            Err(header) => Self { text: String::new(), missing: Some(header) },
        }
    }

    /// Topic, partition, offset and time of the record: every record is an event of its own. It takes effect once
    /// however often Kafka delivers it; one that was produced twice takes effect twice. The time tells it from a record
    /// that has its place after the topic was created again.
    #[must_use]
    pub fn record(meta: &Metadata) -> Self {
        let Metadata { topic, partition, offset, timestamp, .. } = meta;
        Self::of(format_args!("{topic}/{partition}/{offset}@{}", timestamp.unwrap_or(-1)))
    }

    /// The key `scope:id`, for an id that is unique only within its scope: a word of the code's own, such as
    /// `"invoices"`. (A scope out of the data could run into its id; make one text of both with a length in front.)
    /// Where the id is empty the key is too: `scope:` would make all events without an id the same one.
    pub fn scoped(scope: &'static str, id: impl fmt::Display) -> Self {
        let id = id.to_string();
        if id.is_empty() { Self::of("") } else { Self::of(format_args!("{scope}:{id}")) }
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What would have made it a key, where that is known.
    pub(crate) fn why_empty(&self) -> Option<String> {
        let header = self.missing?;
        Some(format!("the record is no CloudEvent of version 1.0: look at its header `{header}`"))
    }
}

impl fmt::Display for DedupeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A digest of what two events of one key must agree on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(u64);

impl Fingerprint {
    /// The digest of some bytes, for example of the amount and the currency.
    pub fn of(bytes: impl AsRef<[u8]>) -> Self {
        let mut word = [0; 8];
        word.copy_from_slice(&blake3::hash(bytes.as_ref()).as_bytes()[..8]);
        Self(u64::from_le_bytes(word))
    }

    /// The digest as the store keeps it.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_does_not_make_a_key_of_an_empty_id() {
        assert_eq!(DedupeKey::scoped("notification:orders", 7).as_str(), "notification:orders:7");
        assert_eq!(DedupeKey::scoped("notification:orders", "").as_str(), "");
    }
}
