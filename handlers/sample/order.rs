//! The orders themselves.

use jiff::{SignedDuration, Timestamp};
use rand::{Rng, SeedableRng, rngs::StdRng};

use super::{SampleKind, SampleOrders};
use crate::event::{Item, OrderCreated};

/// A user orders this often, then the next one comes, unless there is a given number of users.
const ORDERS_PER_USER: u64 = 20;
/// 2026-01-01.
const START: Timestamp = Timestamp::constant(1_767_225_600, 0);

impl SampleOrders {
    /// Order `number` of this seed: a function of both and of nothing else, so that none need be remembered.
    pub(super) fn event(&self, number: u64) -> (OrderCreated, SampleKind) {
        let mut dice = StdRng::seed_from_u64(self.seed.rotate_left(32) ^ number);
        let (seed, user_id) = (self.seed, self.user(number));
        let (amount_cents, kind) = self.amount(&mut dice);
        let order = OrderCreated {
            event_id: format!("event-{seed}-{number}"),
            order_id: format!("order-{seed}-{number}"),
            amount_cents,
            currency: "EUR".into(),
            items: (0..dice.random_range(1..4)).map(|_| item(&mut dice)).collect(),
            email: format!("{user_id}@example.com"),
            phone: dice.random_bool(0.5).then(|| format!("+120255501{:02}", self.user_number(number) % 100)),
            user_id,
            created_at: START + SignedDuration::from_secs((number % 100_000_000) as i64),
        };
        (order, kind)
    }

    /// Who places order `number`.
    pub(super) fn user(&self, number: u64) -> String {
        format!("user-{}-{}", self.seed, self.user_number(number))
    }

    fn user_number(&self, number: u64) -> u64 {
        self.keys.map_or(number / ORDERS_PER_USER, |keys| number % keys.max(1))
    }

    /// How many orders a user places at most.
    fn orders_per_user(&self) -> i64 {
        let orders = self.keys.map_or(ORDERS_PER_USER, |keys| self.count.div_ceil(keys.max(1)));
        i64::try_from(orders).unwrap_or(i64::MAX).max(1)
    }

    /// Either more than any wallet holds, or at most an equal share of one.
    fn amount(&self, dice: &mut StdRng) -> (i64, SampleKind) {
        let credit = self.opening_credit_cents.max(0);
        if dice.random::<f64>() < self.unaffordable {
            return (credit.saturating_add(1), SampleKind::Unaffordable);
        }
        let share = credit / self.orders_per_user();
        (dice.random_range(share.min(1)..=share), SampleKind::Order)
    }
}

fn item(dice: &mut StdRng) -> Item {
    const GOODS: [&str; 4] = ["book", "lamp", "mug", "pen"];
    Item { sku: GOODS[dice.random_range(0..GOODS.len())].into(), quantity: dice.random_range(1..4) }
}
