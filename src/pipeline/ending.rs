//! How an event ends that cannot be handled: its letter is there, and then it is dead.

use std::time::Duration;

use super::{
    How,
    dead_letter::{Disposition, Verdict, letter, without_content},
    decode::Event,
    dedupe::Stopped,
    delivery::{Delivery, HAND_OVER},
    failure::Failed,
    held::Claimed,
    produce::ProduceError,
    route::Route,
    sent_on::{SentOn, dedupe_key},
    spring,
};
use crate::{
    DedupeKey,
    crash::crash_point,
    evidence::{Happened, Note, note},
    store::Grant,
    telemetry::{
        metrics::{Label, Outcome},
        spans::{Process, Sending},
    },
};

/// Between two tries to send a dead letter; doubles from the first to the second.
const SEND_AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// How an event ends that cannot be handled.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ending<'a> {
    pub(super) disposition: Disposition,
    pub(super) attempts: u32,
    /// Milliseconds since 1970.
    pub(super) first_failure: Option<i64>,
    /// It was taken over, and whether it took effect before is not known.
    pub(super) in_doubt: bool,
    /// The highest that the store knows of its key: whoever sends it back goes beyond it.
    pub(super) hop: u32,
    pub(super) failed: &'a Failed,
}

impl<'a> Ending<'a> {
    /// Of what was never tried.
    pub(super) fn of(disposition: Disposition, failed: &'a Failed) -> Self {
        Self { disposition, attempts: 0, first_failure: None, in_doubt: false, hop: 0, failed }
    }
}

impl Delivery<'_> {
    /// The event has killed its workers. Nothing of its handler is called once more, not even to ask whether it took
    /// effect: that might kill this one.
    pub(super) async fn deadly(&self, event: &Event, claimed: &Claimed, why: &str) -> Result<How, Stopped> {
        let Grant { attempts, first_failure_ms: first_failure, takeovers, .. } = claimed.grant;
        // A process that dies at once leaves no renewal behind that would have counted the attempt.
        let attempts = attempts.max(takeovers);
        let failed = &Failed::finally(why);
        let end = Ending { attempts, first_failure, ..Ending::of(Disposition::Exhausted, failed) };
        self.end(event, claimed, &end).await
    }

    /// Ends a claim with a letter: first the broker has it, then the store hears that the event is dead.
    pub(super) async fn end(
        &self,
        event: &Event,
        claimed: &Claimed,
        end: &Ending<'_>,
    ) -> Result<How, Stopped> {
        let (route, key, span) = (&event.route, event.key(), event.span.as_deref());
        if self.dead_letter(Some(route), Some(key), span, end).await.is_err() {
            self.hand_over(claimed, end.attempts, end.first_failure, end.in_doubt).await;
            return Err(Stopped);
        }
        crash_point("after_dead_letter");
        self.finish(claimed, How::DeadLettered, end.attempts).await
    }

    /// What is known of its key has this hop.
    pub(super) async fn mismatch(&self, event: &Event, hop: u32) -> Result<How, Stopped> {
        let failed = Failed::finally("the same dedupe key came before with another fingerprint");
        let end = Ending { hop, ..Ending::of(Disposition::Mismatch, &failed) };
        let (route, key, span) = (&event.route, event.key(), event.span.as_deref());
        self.dead_letter(Some(route), Some(key), span, &end).await?;
        Ok(How::DeadLettered)
    }

    /// Sends the dead letter until the broker has it, or until the partition is told to stop.
    pub(super) async fn dead_letter(
        &self,
        route: Option<&Route>,
        key: Option<&DedupeKey>,
        span: Option<&Process>,
        end: &Ending<'_>,
    ) -> Result<(), Stopped> {
        let service = self.service();
        let copies_of = self.partition.topic.copies_of.as_ref();
        let sent_on = copies_of.map(|source| {
            SentOn::read(self.record, source).unwrap_or_else(|_| SentOn::guess(self.record, source))
        });
        let known_as = copies_of.and_then(|_| dedupe_key(self.record));
        let verdict = Verdict {
            group: service.group(),
            // Of a copy that nobody takes any more: who was to handle it, so that no other does when it is sent back.
            handler: route
                .map(|route| route.handler.name())
                .or_else(|| sent_on.as_ref().and_then(|sent_on| sent_on.handler.as_deref())),
            dedupe_key: key.map(DedupeKey::as_str).or(known_as.as_deref()),
            epoch: service.replay.as_ref().and_then(|replay| Some(replay.epoch.as_ref()?.name.as_str())),
            disposition: end.disposition,
            attempts: end.attempts,
            first_failure: end.first_failure,
            failed: end.failed,
            hop: sent_on.as_ref().map_or(0, |sent_on| sent_on.hop).max(end.hop),
            redrives: sent_on.as_ref().map_or(0, |sent_on| sent_on.redrives),
        };
        // About the record that was sent on, and to the letters of its topic.
        let original = sent_on.as_ref().map(|sent_on| sent_on.original(self.record));
        let about = original.as_ref().unwrap_or(self.record);
        let mut letter = letter(about, &verdict, service.clock.now());
        // Beside what the record came with: a letter has all of that, and the last one counts.
        let sending = span.and_then(|span| Sending::from(span, None, &mut letter, true));
        if service.spring_headers {
            spring::add_headers(&mut letter);
        }
        let mut disposition = end.disposition;
        let mut is_whole = true;
        let mut pause = SEND_AGAIN.0;
        loop {
            // Whatever is under way when this stops may still arrive: then there will be two letters, never none.
            let sent = tokio::select! {
                biased;
                sent = service.producer.send(std::slice::from_ref(&letter)) => sent,
                () = self.partition.stopped_for(HAND_OVER) => return Err(Stopped),
            };
            match sent {
                Ok(()) => break,
                Err(ProduceError::TooLarge(_)) if is_whole => {
                    is_whole = false;
                    disposition = Disposition::TooLarge;
                    letter = without_content(letter);
                    continue;
                }
                Err(error) => service.status.dead_letter_fault(self.record, &letter.topic, &error),
            }
            self.partition.wait(pause).await?;
            pause = (pause * 2).min(SEND_AGAIN.1);
        }
        note(|| Note {
            group: Some(service.group()),
            outcome: Some(disposition.as_str()),
            ..Note::record(Happened::DeadLettered, self.record)
        });
        if let (Some(span), Some(sending)) = (span, sending) {
            sending.acknowledged();
            span.end(Outcome::DeadLettered, Some(disposition));
        }
        self.partition.topic.metrics(route).dead_letter(disposition);
        service.status.dead_lettered(self.record, &verdict, disposition);
        Ok(())
    }
}
