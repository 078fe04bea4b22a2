//! The events out of an event that has been handled: the broker has them before the event is finished.

use std::time::Duration;

use super::{
    delivery::Delivery,
    failure::Failed,
    produce::{NewRecord, ProduceError},
};
use crate::{Context, Header, publication::Outgoing, telemetry::spans::Sending};

/// Between two tries to send; doubles from the first to the second.
const SEND_AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

impl Delivery<'_> {
    /// Sends what the handler has published, until the broker has it all. This goes on when the partition is told
    /// to stop, as a handler does: the effect is there, and with its events unsent it would have to be repeated.
    ///
    /// An error is a refusal for ever.
    pub(super) async fn publish(&self, ctx: &Context) -> Result<(), Failed> {
        let events = ctx.outbox().close();
        if events.is_empty() {
            return Ok(());
        }
        let service = self.service();
        let mut records: Vec<NewRecord> =
            events.into_iter().map(|event| record(event, |topic| service.physical(topic))).collect();
        let sendings: Vec<Sending> = records.iter_mut().filter_map(|record| ctx.sending(record)).collect();
        let mut pause = SEND_AGAIN.0;
        loop {
            match Box::pin(service.producer.send(&records)).await {
                Ok(()) => break,
                Err(ProduceError::TooLarge(why)) => {
                    return Err(Failed::finally(format!(
                        "it took effect, but the events it published were not all taken: {why}"
                    )));
                }
                Err(error) => service.status.publish_fault(self.record, &error),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(SEND_AGAIN.1);
        }
        sendings.into_iter().for_each(Sending::acknowledged);
        records.iter().for_each(|record| service.status.metrics.published(&record.topic));
        Ok(())
    }
}

fn record(event: Outgoing, physical: impl Fn(&str) -> String) -> NewRecord {
    let Outgoing { topic, key, value, headers } = event;
    NewRecord {
        topic: physical(&topic),
        partition: None,
        timestamp: None,
        key: Some(key.into()),
        value: Some(value.into()),
        headers: headers.into_iter().map(|(name, value)| Header::text(name, value)).collect(),
    }
}
