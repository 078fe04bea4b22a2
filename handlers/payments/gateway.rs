//! The payment gateway.

use std::time::Duration;

use oncewise::{Context, Failure, Fingerprint};
use thiserror::Error;

/// Stands in for a payment gateway: authorises everything, but is busy as often as it is told to be.
#[derive(Debug, Clone, Copy, Default)]
pub struct Gateway {
    busy_percent: u8,
}

impl Gateway {
    /// A gateway that is busy for this many of 100 calls. Which ones depends on the event and the attempt
    /// alone, so that a run can be repeated.
    #[must_use]
    pub fn busy(percent: u8) -> Self {
        Self { busy_percent: percent }
    }

    /// Asks whether the payment may go ahead. Asked again with the same idempotency key, a gateway repeats
    /// its answer and does nothing, so an attempt that was cut off may simply be made again.
    pub(super) async fn authorize(&self, ctx: &Context, _amount_cents: i64) -> Result<(), GatewayError> {
        if self.is_busy(ctx.idempotency_key(), ctx.attempt()) {
            return Err(GatewayError::Busy { retry_after: Duration::from_millis(50) });
        }
        Ok(())
    }

    fn is_busy(self, idempotency_key: &str, attempt: u32) -> bool {
        let call = Fingerprint::of(format!("{attempt} {idempotency_key}")).get();
        call % 100 < u64::from(self.busy_percent)
    }
}

/// A gateway that did not answer the question.
#[derive(Debug, Error)]
pub(super) enum GatewayError {
    /// It asks for patience.
    #[error("the payment gateway is busy")]
    Busy {
        /// How much.
        retry_after: Duration,
    },
}

/// The one place that says which gateway errors are worth another try.
impl From<GatewayError> for Failure {
    fn from(error: GatewayError) -> Self {
        match error {
            GatewayError::Busy { retry_after } => Self::retry_after(retry_after, error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_busy_as_it_is_told_and_the_same_each_time() {
        let busy =
            |percent| (1..=1000).filter(|n| Gateway::busy(percent).is_busy(&format!("e{n}"), 1)).count();
        assert_eq!(busy(0), 0);
        assert_eq!(busy(100), 1000);
        assert!((150..250).contains(&busy(20)), "{} of 1000", busy(20));
        assert_eq!(busy(20), busy(20));
    }

    #[test]
    fn another_attempt_may_fare_better() {
        let gateway = Gateway::busy(50);
        assert!((1..=20).any(|attempt| gateway.is_busy("e1", attempt)));
        assert!((1..=20).any(|attempt| !gateway.is_busy("e1", attempt)));
    }
}
