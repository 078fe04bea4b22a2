//! Sample orders with duplicates and poison, and what must become of them.

mod order;
mod record;
#[cfg(test)]
mod tests;

use rand::{Rng, SeedableRng, rngs::StdRng};

pub use self::record::{Expected, SampleKind, SampleRecord};
use crate::event::OrderCreated;

/// A recipe for records of `orders.created`. The same recipe gives the same records.
#[derive(Debug, Clone, PartialEq)]
pub struct SampleOrders {
    /// Records in all.
    pub count: u64,
    /// Share of them that repeats an earlier event byte for byte, 0 to 1. One in four of these comes under
    /// another record key, which may lead it to another partition.
    pub duplicates: f64,
    /// Share of them that no handler can use, 0 to 1: cut off, without a field, or without ids.
    pub poison: f64,
    /// Share of the orders that cost more than a wallet ever holds, 0 to 1.
    pub unaffordable: f64,
    /// What a wallet opens with. All affordable orders of a user together cost no more, so what is paid does
    /// not depend on the order in which partitions are read.
    pub opening_credit_cents: i64,
    /// How many users there are, whose ids are the record keys; without a number there is a new user after every
    /// twenty orders, and the record keys are the orders' ids.
    pub keys: Option<u64>,
    /// Another seed gives other orders, with other ids.
    pub seed: u64,
}

impl Default for SampleOrders {
    fn default() -> Self {
        Self {
            count: 1000,
            duplicates: 0.1,
            poison: 0.01,
            unaffordable: 0.01,
            opening_credit_cents: 1_000_000,
            keys: None,
            seed: 1,
        }
    }
}

/// Duplicates repeat one of this many latest orders, so that some meet the first of their kind at work.
const RECENT: u64 = 100;

impl SampleOrders {
    /// What must become of the records, all services together.
    #[must_use]
    pub fn expected(&self) -> Expected {
        let mut expected = Expected::default();
        self.records().for_each(|record| expected.count(record.kind));
        expected
    }

    /// The records, made one by one.
    pub fn records(&self) -> impl Iterator<Item = SampleRecord> + use<> {
        let recipe = self.clone();
        let mut dice = StdRng::seed_from_u64(recipe.seed);
        let mut orders = 0;
        (0..recipe.count).map(move |position| {
            let lot = dice.random::<f64>();
            if orders > 0 && lot < recipe.duplicates {
                let earlier = orders - dice.random_range(1..=orders.min(RECENT));
                recipe.duplicate(earlier, &mut dice)
            } else if lot >= 1.0 - recipe.poison {
                recipe.poison(position)
            } else {
                orders += 1;
                recipe.order(orders - 1)
            }
        })
    }

    fn order(&self, number: u64) -> SampleRecord {
        let (order, kind) = self.event(number);
        let (key, value) = (self.key(&order), json(&order).into_bytes());
        SampleRecord { event_id: Some(order.event_id), key, value, kind }
    }

    fn key(&self, order: &OrderCreated) -> Vec<u8> {
        let key = if self.keys.is_some() { &order.user_id } else { &order.order_id };
        key.clone().into_bytes()
    }

    fn duplicate(&self, number: u64, dice: &mut StdRng) -> SampleRecord {
        let first = self.order(number);
        let key = match dice.random_range(0..4) {
            0 if self.keys.is_some() => self.user(number + 1).into_bytes(),
            0 => [&first.key, &b"-again"[..]].concat(),
            _ => first.key.clone(),
        };
        SampleRecord { key, kind: SampleKind::Duplicate, ..first }
    }

    /// Takes turns between the three ways to be of no use.
    fn poison(&self, position: u64) -> SampleRecord {
        let (mut order, _) = self.event(u64::MAX - position);
        let (key, mut value) = (self.key(&order), json(&order));
        let mut kind = SampleKind::Undecodable;
        match position % 3 {
            0 => value.truncate(value.len() / 2),
            1 => value = value.replace("\"amount_cents\"", "\"amount\""),
            _ => {
                order.event_id.clear();
                order.order_id.clear();
                value = json(&order);
                kind = SampleKind::NoKey;
            }
        }
        SampleRecord { event_id: None, key, value: value.into_bytes(), kind }
    }
}

#[expect(clippy::expect_used, reason = "the event holds nothing but text, numbers and a time")]
fn json(order: &OrderCreated) -> String {
    serde_json::to_string(order).expect("an order is JSON")
}
