//! The payment gateway.

use std::time::Duration;

use oncewise::{Context, Failure, Fingerprint};
use serde::Serialize;
use thiserror::Error;

use crate::{
    event::OrderCreated,
    outside::{GatewaySettings, HttpGateway, SetupError},
};

/// Where payments are authorised.
#[derive(Debug)]
pub enum Gateway {
    /// Stands in for one: authorises everything, but is busy as often as it is told to be.
    Pretended {
        /// For this many of 100 calls.
        busy_percent: u8,
    },
    /// A gateway over HTTP.
    Http(HttpGateway),
}

/// What the gateway is asked for.
#[derive(Debug, Serialize)]
struct Authorization<'a> {
    order_id: &'a str,
    amount_cents: i64,
    currency: &'a str,
}

impl Gateway {
    /// The gateway at this place. Connects to nothing yet.
    ///
    /// # Errors
    /// It is to be reached over TLS, and this machine has no certificates to trust.
    pub fn at(settings: &GatewaySettings) -> Result<Self, SetupError> {
        HttpGateway::new(settings).map(Self::Http).map_err(SetupError::of("shop.gateway"))
    }

    /// A pretended gateway that is busy for this many of 100 calls. Which ones depends on the event and the
    /// attempt alone, so that a run can be repeated.
    #[must_use]
    pub fn busy(percent: u8) -> Self {
        Self::Pretended { busy_percent: percent }
    }

    /// Asks whether the payment may go ahead. Asked again with the same idempotency key, a gateway repeats
    /// its answer and does nothing, so an attempt that was cut off may simply be made again. A yes is a hold on the
    /// customer's money that expires, and no payment yet.
    pub(super) async fn authorize(&self, ctx: &Context, order: &OrderCreated) -> Result<(), Failure> {
        let OrderCreated { order_id, amount_cents, currency, .. } = order;
        match self {
            Self::Http(gateway) => {
                let asked = Authorization { order_id, amount_cents: *amount_cents, currency };
                Ok(gateway.post(ctx, ctx.idempotency_key(), &asked).await?)
            }
            Self::Pretended { busy_percent } => pretend(*busy_percent, ctx.idempotency_key(), ctx.attempt()),
        }
    }
}

impl Default for Gateway {
    fn default() -> Self {
        Self::busy(0)
    }
}

fn pretend(busy_percent: u8, idempotency_key: &str, attempt: u32) -> Result<(), Failure> {
    let call = Fingerprint::of(format!("{attempt} {idempotency_key}")).get();
    if call % 100 < u64::from(busy_percent) {
        return Err(Failure::retry_after(Duration::from_millis(50), Busy));
    }
    Ok(())
}

/// The pretended gateway asks for patience.
#[derive(Debug, Error)]
#[error("the payment gateway is busy")]
struct Busy;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_busy_as_it_is_told_and_the_same_each_time() {
        let busy = |percent| (1..=1000).filter(|n| pretend(percent, &format!("e{n}"), 1).is_err()).count();
        assert_eq!(busy(0), 0);
        assert_eq!(busy(100), 1000);
        assert!((150..250).contains(&busy(20)), "{} of 1000", busy(20));
        assert_eq!(busy(20), busy(20));
    }

    #[test]
    fn another_attempt_may_fare_better() {
        assert!((1..=20).any(|attempt| pretend(50, "e1", attempt).is_err()));
        assert!((1..=20).any(|attempt| pretend(50, "e1", attempt).is_ok()));
    }
}
