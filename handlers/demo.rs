//! What `worker demo` shows: the shop with a busy gateway, duplicates and poison.

use std::any::Any;

use oncewise::{BoxError, Demo, DemoRecord};

use crate::{config::ShopConfig, event::OrderCreated, sample::SampleOrders};

/// How many of 100 calls find the demo's gateway busy.
const GATEWAY_BUSY_PERCENT: u8 = 10;

/// The shop in a temporary folder, with orders of which one in ten comes twice.
#[must_use]
pub fn demo() -> Demo<ShopConfig> {
    Demo { topic: OrderCreated::TOPIC, prepare, records }
}

fn prepare(config: ShopConfig) -> Result<(ShopConfig, Box<dyn Any + Send>), BoxError> {
    let folder = tempfile::tempdir()?;
    let database_url = format!("sqlite://{}", folder.path().join("shop.db").display());
    Ok((ShopConfig { database_url, gateway_busy_percent: GATEWAY_BUSY_PERCENT, ..config }, Box::new(folder)))
}

fn records(count: u64) -> Vec<DemoRecord> {
    let orders = SampleOrders { count, ..SampleOrders::default() };
    orders.records().map(|record| DemoRecord { key: record.key, value: record.value }).collect()
}
