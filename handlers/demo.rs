//! What `worker demo` shows: the shop with a busy gateway, duplicates and poison.

use std::any::Any;

use oncewise::{BoxError, Demo, DemoCounts, DemoRecord};

use crate::{
    config::ShopConfig,
    event::OrderCreated,
    sample::{Expected, SampleOrders},
};

/// How many of 100 calls find the demo's gateway busy.
const GATEWAY_BUSY_PERCENT: u8 = 10;

/// The shop in a temporary folder, with orders of which one in ten comes twice.
#[must_use]
pub fn demo() -> Demo<ShopConfig> {
    Demo { topic: OrderCreated::TOPIC, prepare, records, expected }
}

fn prepare(_: ShopConfig) -> Result<(ShopConfig, Box<dyn Any + Send>), BoxError> {
    let folder = tempfile::tempdir()?;
    let database_url = format!("sqlite://{}", folder.path().join("shop.db").display());
    Ok((
        ShopConfig {
            database_url,
            gateway_busy_percent: GATEWAY_BUSY_PERCENT,
            opening_credit_cents: SampleOrders::default().opening_credit_cents,
            ..ShopConfig::default()
        },
        Box::new(folder),
    ))
}

fn records(count: u64) -> Vec<DemoRecord> {
    sample(count).records().map(|record| DemoRecord { key: record.key, value: record.value }).collect()
}

/// Who cannot pay is still sent a confirmation: the services know nothing of each other.
fn expected(service: &str, count: u64) -> DemoCounts {
    let Expected { orders, unaffordable, duplicates, undecodable, no_key } = sample(count).expected();
    let rejected = if service == "payments" { unaffordable } else { 0 };
    DemoCounts { done: orders - rejected, duplicates, dead_lettered: rejected + undecodable + no_key }
}

fn sample(count: u64) -> SampleOrders {
    SampleOrders { count, ..SampleOrders::default() }
}
