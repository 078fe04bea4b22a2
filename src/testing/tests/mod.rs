//! The harness, by handlers that are right and handlers that are wrong.

mod fast_failures;
mod faults;
mod giving_up;
mod harness;
mod idempotence;
mod outage;

use std::sync::{Arc, Mutex};

use serde::Deserialize;

use crate::prelude::*;

#[derive(Deserialize)]
struct Payment {
    payment_id: String,
    cents: i64,
}

const PAYMENT: &str = r#"{"payment_id":"p1","cents":100}"#;

/// What a bank that knows no idempotency keys has been told: each effect that happened.
#[derive(Debug, Clone, Default)]
struct Bank(Arc<Mutex<Vec<(String, i64)>>>);

impl Bank {
    fn charge(&self, key: &str, cents: i64) {
        self.0.lock().unwrap().push((key.to_owned(), cents));
    }

    fn charges(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

/// Charges whenever it runs.
#[derive(Default)]
struct Charge {
    bank: Bank,
}

impl Handler for Charge {
    const NAME: &'static str = "charge";
    type Event = Payment;

    fn dedupe_key(&self, event: &Payment, _: &Metadata) -> DedupeKey {
        DedupeKey::of(&event.payment_id)
    }

    async fn handle(&self, event: &Payment, ctx: &Context) -> Outcome {
        tokio::task::yield_now().await;
        self.bank.charge(ctx.idempotency_key(), event.cents);
        tokio::task::yield_now().await;
        done()
    }
}
