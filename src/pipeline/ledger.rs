//! The ends of events, written down in the ledger before the store and the watermark hear of them; in a replay their
//! beginnings, too.

use std::time::Duration;

use super::{
    How,
    dedupe::Stopped,
    delivery::{Delivery, HAND_OVER},
    held::Claimed,
    produce::NewRecord,
    source::Partition,
};
use crate::{
    crash::crash_point,
    ledger::{self, Said},
    store::{End, StoreKey},
};

/// Between two tries to write; doubles from the first to the second.
const WRITE_AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

impl Partition {
    /// Writes down how events ended, where their service keeps a ledger, until the broker has it or the partition is
    /// told to stop. Duplicates are written, too: whoever finished the event may have died before this.
    pub(super) async fn enter(&self, ends: &[(&StoreKey, How)]) -> Result<(), Stopped> {
        let said = |(key, how): &(&StoreKey, How)| {
            let said = match how.end() {
                End::Done => Said::Done,
                End::Dead => Said::Dead,
                // Whoever ends it will say how.
                End::Moved => return None,
            };
            self.entry(key, said).inspect(|_| crash_point("before_ledger"))
        };
        self.write(ends.iter().filter_map(said).collect()).await
    }

    fn entry(&self, key: &StoreKey, said: Said) -> Option<NewRecord> {
        let topic = self.topic.service.ledger.as_ref()?;
        Some(ledger::record(topic, key, said))
    }

    async fn write(&self, entries: Vec<NewRecord>) -> Result<(), Stopped> {
        let service = &self.topic.service;
        let Some(topic) = service.ledger.as_ref().filter(|_| !entries.is_empty()) else { return Ok(()) };
        let mut pause = WRITE_AGAIN.0;
        loop {
            let sent = tokio::select! {
                biased;
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
        self.partition.enter(&[(key, how)]).await.map(|()| how)
    }

    /// In a replay, writes down that an event is about to run: its record does not come again by itself, should this
    /// process die before it has written down how it ended.
    pub(super) async fn announce(&self, key: &StoreKey) -> Result<(), Stopped> {
        let entry = self.service().replay.as_ref().and_then(|_| self.partition.entry(key, Said::Begun));
        self.partition.write(entry.into_iter().collect()).await
    }

    /// Ends a claim: first the ledger hears of it, while the claim is kept alive, then the store, so that the ledger
    /// never lacks what the store has. The effect is there either way, and the store hears of it even if the ledger
    /// could not be told; the record then comes again.
    pub(super) async fn finish(&self, claimed: &Claimed, how: How, attempts: u32) -> Result<How, Stopped> {
        let entered = self.enter(&claimed.key(), how).await;
        self.service().claims.complete(claimed, how.end(), attempts, None).await;
        entered
    }
}

impl How {
    /// What is remembered of the event.
    fn end(self) -> End {
        match self {
            Self::DeadLettered | Self::WasDead => End::Dead,
            Self::Deferred | Self::WasMoved => End::Moved,
            Self::Done | Self::Skipped | Self::Duplicate | Self::LeftOut => End::Done,
        }
    }
}
