//! Sample orders with duplicates and poison, and what must become of them.

use jiff::{SignedDuration, Timestamp};
use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::event::{Item, OrderCreated};

/// A recipe for records of `orders.created`. The same recipe gives the same records.
#[derive(Debug, Clone, PartialEq)]
pub struct SampleOrders {
    /// Records in all.
    pub count: u64,
    /// Share of them that repeats an earlier event byte for byte, 0 to 1. One in four of these comes under
    /// another record key, which may lead it to another partition.
    pub duplicates: f64,
    /// Share of them that no handler can use, 0 to 1: cut off, without a field, or without an event id.
    pub poison: f64,
    /// Share of the orders that cost more than a wallet ever holds, 0 to 1.
    pub unaffordable: f64,
    /// What a wallet opens with. All affordable orders of a user together cost no more, so what is paid does
    /// not depend on the order in which partitions are read.
    pub opening_credit_cents: i64,
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
            seed: 1,
        }
    }
}

/// One record to produce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampleRecord {
    /// The record's key: the order's id, except for some duplicates.
    pub key: Vec<u8>,
    /// The record's value.
    pub value: Vec<u8>,
    /// What it is.
    pub kind: SampleKind,
}

/// What a sample record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SampleKind {
    /// An order that its user can pay.
    Order,
    /// An order that its user cannot pay.
    Unaffordable,
    /// An earlier order again.
    Duplicate,
    /// No order at all.
    Undecodable,
    /// An order whose event id is empty.
    NoKey,
}

/// What must become of the records that were produced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Expected {
    /// Orders to store, and to confirm.
    pub orders: u64,
    /// Those among them that payments rejects; the others are paid.
    pub unaffordable: u64,
    /// Records that every service settles as duplicates.
    pub duplicates: u64,
    /// Records that every service dead-letters as `undecodable`.
    pub undecodable: u64,
    /// Records that every service dead-letters as `no-key`.
    pub no_key: u64,
}

impl Expected {
    /// Counts one record that was produced.
    pub fn count(&mut self, kind: SampleKind) {
        match kind {
            SampleKind::Order => self.orders += 1,
            SampleKind::Unaffordable => {
                self.orders += 1;
                self.unaffordable += 1;
            }
            SampleKind::Duplicate => self.duplicates += 1,
            SampleKind::Undecodable => self.undecodable += 1,
            SampleKind::NoKey => self.no_key += 1,
        }
    }
}

/// A user orders this often before the next one comes.
const ORDERS_PER_USER: u64 = 20;
/// Duplicates repeat one of this many latest orders, so that some meet the first of their kind at work.
const RECENT: u64 = 100;
/// 2026-01-01, in seconds since 1970.
const START: SignedDuration = SignedDuration::from_secs(1_767_225_600);

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
                recipe.duplicate(orders - dice.random_range(1..=orders.min(RECENT)), &mut dice)
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
        SampleRecord { key: order.order_id.clone().into_bytes(), value: json(&order), kind }
    }

    fn duplicate(&self, number: u64, dice: &mut StdRng) -> SampleRecord {
        let first = self.order(number);
        let key = if dice.random_range(0..4) == 0 { [&first.key, &b"-again"[..]].concat() } else { first.key };
        SampleRecord { key, value: first.value, kind: SampleKind::Duplicate }
    }

    fn poison(&self, position: u64) -> SampleRecord {
        let (mut order, _) = self.event(u64::MAX - position);
        let key = order.order_id.clone().into_bytes();
        let (value, kind) = match position % 3 {
            0 => (cut(json(&order)), SampleKind::Undecodable),
            1 => (without_amount(&order), SampleKind::Undecodable),
            _ => {
                order.event_id.clear();
                (json(&order), SampleKind::NoKey)
            }
        };
        SampleRecord { key, value, kind }
    }

    /// Order `number` of this seed: a function of both and of nothing else, so that none need be remembered.
    fn event(&self, number: u64) -> (OrderCreated, SampleKind) {
        let mut dice = StdRng::seed_from_u64(self.seed.rotate_left(32) ^ number);
        let (seed, user) = (self.seed, number / ORDERS_PER_USER);
        let unaffordable = dice.random::<f64>() < self.unaffordable;
        let share = self.opening_credit_cents / ORDERS_PER_USER as i64;
        let amount_cents = if unaffordable {
            self.opening_credit_cents.saturating_add(1)
        } else {
            dice.random_range(share.min(1)..=share.max(0))
        };
        let order = OrderCreated {
            event_id: format!("event-{seed}-{number}"),
            order_id: format!("order-{seed}-{number}"),
            user_id: format!("user-{seed}-{user}"),
            amount_cents,
            currency: "EUR".into(),
            items: (0..dice.random_range(1..4)).map(|_| item(&mut dice)).collect(),
            email: format!("user-{seed}-{user}@example.com"),
            phone: dice.random_bool(0.5).then(|| format!("+49151{:07}", user % 10_000_000)),
            created_at: Timestamp::UNIX_EPOCH + START + SignedDuration::from_secs((number % 100_000_000) as i64),
        };
        (order, if unaffordable { SampleKind::Unaffordable } else { SampleKind::Order })
    }
}

fn item(dice: &mut StdRng) -> Item {
    const GOODS: [&str; 4] = ["book", "lamp", "mug", "pen"];
    Item { sku: GOODS[dice.random_range(0..GOODS.len())].into(), quantity: dice.random_range(1..4) }
}
