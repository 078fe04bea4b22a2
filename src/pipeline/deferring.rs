//! Events that are tried later: a copy goes to a topic where it waits, and the record itself is in nobody's way.

use std::time::Duration;

use super::{
    How,
    dead_letter::millis,
    decode::Event,
    dedupe::{Back, Stopped},
    delivery::{Delivery, HAND_OVER},
    held::Claimed,
    produce::ProduceError,
    sent_on::{Again, SentOn, copy},
};
use crate::{
    crash::crash_point,
    store::{End, KnownState, StoreKey},
};

/// Between two tries to send a copy; doubles from the first to the second.
const SEND_AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

impl Delivery<'_> {
    /// After a failed attempt: the claim is given back until the event is due, the copy is acknowledged, then the event is
    /// moved. Whoever takes over from a process that dies in between finds it backing off, and tries nothing early. `None`
    /// where the broker will never take the copy, and the event has to wait where it is.
    pub(super) async fn defer(
        &self,
        event: &Event,
        claimed: &Claimed,
        back: Back,
    ) -> Result<Option<How>, Stopped> {
        let service = self.service();
        let (attempts, first_failure_ms) = (back.attempts, back.first_failure_ms);
        if self.delay_for(event, back.delay).is_none() {
            return Ok(None);
        }
        // The store reckons from when it hears of it: it is never due there before its copy is.
        let now_ms = millis(service.clock.now());
        service.claims.release(claimed, back, &self.partition.stop).await?;
        crash_point("before_copy");
        if !self.send_on(event, now_ms, back.delay, attempts, first_failure_ms).await? {
            return Ok(None);
        }
        crash_point("after_copy");
        service.claims.complete(claimed, End::Moved, attempts, first_failure_ms).await;
        crash_point("after_moved");
        Ok(Some(How::Deferred))
    }

    /// An event that backs off in the store for so long that it should not hold its lane is sent on instead, without a
    /// claim. Its worker has stopped before its copy was there, so the store alone knows of its attempts.
    pub(super) async fn put_off(
        &self,
        event: &Event,
        key: &StoreKey,
        left: Duration,
    ) -> Result<Option<How>, Stopped> {
        if self.delay_for(event, left).is_none() {
            return Ok(None);
        }
        // Without an answer, or with another one by now, it is asked for again.
        let Some(known) = self.service().claims.look(key).await else { return Ok(None) };
        let (KnownState::Waiting { left }, Some(attempts)) = (known.state, known.attempts) else {
            return Ok(None);
        };
        let now_ms = millis(self.service().clock.now());
        let sent = self.send_on(event, now_ms, left, attempts, known.first_failure_ms).await?;
        Ok(sent.then_some(How::Deferred))
    }

    /// Waits until a copy is due, or sends it on once more where that takes long.
    pub(super) async fn until_due(&self, event: &Event) -> Result<Option<How>, Stopped> {
        loop {
            let now_ms = millis(self.service().clock.now());
            let (Some(left), Some(sent_on)) = (event.not_due_for(now_ms), &event.sent_on) else {
                return Ok(None);
            };
            if self.send_on(event, now_ms, left, sent_on.attempts, sent_on.first_failure_ms).await? {
                return Ok(Some(How::Deferred));
            }
            self.partition.wait(left).await?;
        }
    }

    /// The delay with which it should be sent on, if it should.
    fn delay_for(&self, event: &Event, left: Duration) -> Option<Duration> {
        event.route.settings.retry.later.fitting(left).filter(|_| self.service().sends_on)
    }

    /// Sends a copy that is due so long (`left`) after `now_ms`, until the broker has it or the partition is told to
    /// stop. Answers `false` where the broker never will.
    async fn send_on(
        &self,
        event: &Event,
        now_ms: i64,
        left: Duration,
        attempts: u32,
        first_failure_ms: Option<i64>,
    ) -> Result<bool, Stopped> {
        let service = self.service();
        let Some(delay) = self.delay_for(event, left) else { return Ok(false) };
        let source = self.partition.topic.copies_of.as_ref().unwrap_or(&self.partition.topic.name);
        let sent = event.sent_on.as_deref().cloned();
        let sent = sent.unwrap_or_else(|| SentOn::first(self.record, source));
        let again = Again {
            group: service.group(),
            handler: event.route.handler.name(),
            dedupe_key: event.key().as_str(),
            delay,
            now_ms,
            due_ms: now_ms.saturating_add_unsigned(u64::try_from(left.as_millis()).unwrap_or(u64::MAX)),
            attempts,
            first_failure_ms,
            fingerprint: event.fingerprint(),
        };
        let copy = copy(self.record, &sent, &again);
        let mut pause = SEND_AGAIN.0;
        loop {
            // Whatever is under way when this stops may still arrive: then there will be two copies, of which one runs.
            let sent = tokio::select! {
                biased;
                sent = service.producer.send(std::slice::from_ref(&copy)) => sent,
                () = self.partition.stopped_for(HAND_OVER) => return Err(Stopped),
            };
            match sent {
                Ok(()) => break,
                Err(ProduceError::TooLarge(_)) => return Ok(false),
                Err(error) => service.status.copy_fault(self.record, &copy.topic, &error),
            }
            self.partition.wait(pause).await?;
            pause = (pause * 2).min(SEND_AGAIN.1);
        }
        tracing::debug!(topic = %self.record.topic, partition = self.record.partition, offset = self.record.offset, to = %copy.topic, attempts, "tried later");
        Ok(true)
    }
}

impl Event {
    /// For how long a copy is not due yet.
    pub(super) fn not_due_for(&self, now_ms: i64) -> Option<Duration> {
        let left = self.sent_on.as_ref()?.due_ms?.saturating_sub(now_ms);
        u64::try_from(left).ok().filter(|left| *left > 0).map(Duration::from_millis)
    }
}
