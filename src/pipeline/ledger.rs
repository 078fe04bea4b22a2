//! The ends of events, written down in the ledger before their records are settled.

use std::time::Duration;

use super::{
    How,
    dedupe::Stopped,
    delivery::{Delivery, HAND_OVER},
    produce::NewRecord,
    source::Partition,
};
use crate::{
    crash::crash_point,
    ledger,
    store::{End, StoreKey},
};

/// Between two tries to write; doubles from the first to the second.
const WRITE_AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

impl Partition {
    /// Writes down how events ended, where their service keeps a ledger, until the broker has it or the partition is
    /// told to stop. Duplicates are written, too: whoever finished the event may have died before this.
    pub(super) async fn enter<'a>(
        &self,
        ends: impl IntoIterator<Item = (&'a StoreKey, How)>,
    ) -> Result<(), Stopped> {
        let service = &self.topic.service;
        let Some(topic) = &service.ledger else { return Ok(()) };
        let entry = |(key, how)| {
            let end = match how {
                How::DeadLettered | How::WasDead => End::Dead,
                How::Done | How::Skipped | How::Duplicate | How::LeftOut => End::Done,
            };
            crash_point("before_ledger");
            ledger::record(topic, key, end)
        };
        let entries: Vec<NewRecord> = ends.into_iter().map(entry).collect();
        if entries.is_empty() {
            return Ok(());
        }
        let mut pause = WRITE_AGAIN.0;
        loop {
            let sent = tokio::select! {
                sent = service.producer.send(&entries) => sent,
                () = self.stopped_for(HAND_OVER) => return Err(Stopped),
            };
            match sent {
                Ok(()) => break,
                Err(error) => service.status.ledger_fault(topic, &error),
            }
            self.wait(pause).await?;
            pause = (pause * 2).min(WRITE_AGAIN.1);
        }
        service.status.ledger_written();
        Ok(())
    }
}

impl Delivery<'_> {
    /// The same for this record's event.
    pub(super) async fn enter(&self, key: &StoreKey, how: How) -> Result<How, Stopped> {
        self.partition.enter([(key, how)]).await.map(|()| how)
    }
}
