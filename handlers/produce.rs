//! What `worker produce` sends: orders with duplicates and poison.

use oncewise::{Produce, ProduceKind, ProduceRecipe, ProduceRecord, ProduceRecords};

use crate::{
    config::ShopConfig,
    event::OrderCreated,
    sample::{SampleKind, SampleOrders, SampleRecord},
};

/// Sample orders that wallets of the configured size can pay, but for one in a hundred.
#[must_use]
pub fn produce() -> Produce<ShopConfig> {
    Produce { topic: OrderCreated::TOPIC, events: "orders", records }
}

fn records(config: &ShopConfig, recipe: &ProduceRecipe) -> ProduceRecords {
    let ProduceRecipe { count, duplicates, poison, keys, seed } = *recipe;
    let opening_credit_cents = config.opening_credit_cents;
    let orders =
        SampleOrders { count, duplicates, poison, keys, seed, opening_credit_cents, ..Default::default() };
    Box::new(orders.records().map(record))
}

fn record(SampleRecord { event_id, key, value, kind }: SampleRecord) -> ProduceRecord {
    let kind = match kind {
        SampleKind::Order | SampleKind::Unaffordable => ProduceKind::Event,
        SampleKind::Duplicate => ProduceKind::Duplicate,
        SampleKind::Undecodable | SampleKind::NoKey => ProduceKind::Poison,
    };
    ProduceRecord { key, value, kind, event: event_id.map(|id| (id, OrderCreated::TOPIC)) }
}
