//! The end of an event, written down in the ledger before its record is settled; in a replay its beginning, too.

use std::time::Duration;

use super::{
    How,
    dedupe::Stopped,
    delivery::{Delivery, HAND_OVER},
};
use crate::{
    crash::crash_point,
    ledger::{self, Said},
    store::StoreKey,
};

/// Between two tries to write; doubles from the first to the second.
const WRITE_AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

impl Delivery<'_> {
    /// Writes down how an event ended, where its service keeps a ledger, until the broker has it or the partition is
    /// told to stop. Duplicates are written, too: whoever finished the event may have died before this.
    pub(super) async fn enter(&self, key: &StoreKey, how: How) -> Result<How, Stopped> {
        let Some(topic) = &self.service().ledger else { return Ok(how) };
        let said = match how {
            How::DeadLettered | How::WasDead => Said::Dead,
            How::Done | How::Skipped | How::Duplicate | How::LeftOut => Said::Done,
        };
        crash_point("before_ledger");
        self.write(topic, key, said).await?;
        Ok(how)
    }

    /// In a replay, writes down that an event is about to run: its record does not come again by itself, should this
    /// process die before it has written down how it ended.
    pub(super) async fn announce(&self, key: &StoreKey) -> Result<(), Stopped> {
        match &self.service().ledger {
            Some(topic) if self.service().replay.is_some() => self.write(topic, key, Said::Begun).await,
            _ => Ok(()),
        }
    }

    async fn write(&self, topic: &str, key: &StoreKey, said: Said) -> Result<(), Stopped> {
        let service = self.service();
        let entry = [ledger::record(topic, key, said)];
        let mut pause = WRITE_AGAIN.0;
        loop {
            let sent = tokio::select! {
                sent = service.producer.send(&entry) => sent,
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
