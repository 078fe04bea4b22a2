//! An inbox that does not grow for ever.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::Inbox;

/// Not at once: who only looks at the configuration is gone by then.
const FIRST: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);

impl Inbox {
    /// Removes hourly the marks of effects that were applied longer ago than this, until its task ends. Every pod
    /// may do so; one that fails says so in the log and tries again an hour later.
    pub async fn prune_hourly(self, older_than: Duration) {
        self.prune_every(FIRST, HOUR, older_than).await;
    }

    pub(super) async fn prune_every(self, first: Duration, period: Duration, older_than: Duration) {
        let mut turns = interval_at(Instant::now() + first, period);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            turns.tick().await;
            match self.prune(older_than).await {
                Ok(0) => {}
                Ok(removed) => tracing::info!(removed, "pruned the inbox"),
                Err(error) => tracing::warn!(%error, "the inbox cannot be pruned"),
            }
        }
    }
}
