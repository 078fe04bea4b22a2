use std::collections::{HashMap, HashSet};

use super::*;

const RECIPE: SampleOrders = SampleOrders {
    count: 5000,
    duplicates: 0.2,
    poison: 0.05,
    unaffordable: 0.1,
    opening_credit_cents: 10_000,
    keys: None,
    seed: 7,
};

fn decoded(record: &SampleRecord) -> Option<OrderCreated> {
    serde_json::from_slice(&record.value).ok()
}

#[test]
fn the_same_recipe_gives_the_same_records_and_another_seed_others() {
    let records: Vec<_> = RECIPE.records().collect();
    assert_eq!(records.len(), 5000);
    assert!(RECIPE.records().eq(records.iter().cloned()));
    let others = SampleOrders { seed: 8, ..RECIPE };
    let ids = |recipe: &SampleOrders| -> HashSet<String> {
        recipe.records().filter_map(|record| Some(decoded(&record)?.event_id)).collect()
    };
    let shared: Vec<_> = ids(&RECIPE).intersection(&ids(&others)).cloned().collect();
    assert_eq!(shared, [""], "only the event without an id");
}

#[test]
fn every_record_is_what_its_kind_says() {
    let mut first = HashMap::new();
    let mut elsewhere = 0;
    for record in RECIPE.records() {
        let order = decoded(&record);
        match (record.kind, order) {
            (SampleKind::Undecodable, None) => (),
            (SampleKind::NoKey, Some(order)) => assert_eq!(order.event_id, ""),
            (SampleKind::Duplicate, Some(order)) => {
                let (key, value) = &first[&order.event_id];
                assert_eq!(value, &record.value, "byte for byte");
                elsewhere += usize::from(key != &record.key);
            }
            (kind @ (SampleKind::Order | SampleKind::Unaffordable), Some(order)) => {
                assert_eq!(order.check(), Ok(()));
                assert_eq!(record.key, order.order_id.as_bytes());
                assert_eq!(
                    order.amount_cents > RECIPE.opening_credit_cents,
                    kind == SampleKind::Unaffordable
                );
                assert!(first.insert(order.event_id, (record.key, record.value)).is_none(), "unique");
            }
            (kind, order) => panic!("{kind:?} is {order:?}"),
        }
    }
    let expected = RECIPE.expected();
    assert_eq!(first.len() as u64, expected.orders);
    assert!((150..350).contains(&elsewhere), "a quarter of the duplicates has another key: {elsewhere}");
}

#[test]
fn shares_are_kept() {
    let Expected { orders, unaffordable, duplicates, undecodable, no_key } = RECIPE.expected();
    assert_eq!(orders + duplicates + undecodable + no_key, 5000);
    assert!((900..1100).contains(&duplicates), "{duplicates}");
    assert!((200..300).contains(&(undecodable + no_key)), "{undecodable} + {no_key}");
    assert!((300..450).contains(&unaffordable), "{unaffordable} of {orders}");
    let clean = SampleOrders { duplicates: 0.0, poison: 0.0, unaffordable: 0.0, ..RECIPE };
    assert_eq!(clean.expected(), Expected { orders: 5000, ..Expected::default() });
}

#[test]
fn nobody_orders_more_than_the_wallet_holds_except_where_it_says_so() {
    let mut spent: HashMap<String, i64> = HashMap::new();
    for record in RECIPE.records().filter(|record| record.kind == SampleKind::Order) {
        let order = decoded(&record).unwrap();
        *spent.entry(order.user_id).or_default() += order.amount_cents;
    }
    assert!(spent.len() > 100);
    assert!(spent.values().all(|&cents| cents <= RECIPE.opening_credit_cents));
}

#[test]
fn a_number_of_keys_is_kept_and_their_wallets_suffice() {
    for keys in [1, 7, 10_000] {
        let recipe = SampleOrders { keys: Some(keys), opening_credit_cents: 1_000_000, ..RECIPE };
        let mut spent: HashMap<String, i64> = HashMap::new();
        let mut used = HashSet::new();
        let mut ids = HashMap::new();
        for record in recipe.records() {
            used.insert(record.key.clone());
            if let (SampleKind::Order, Some(order)) = (record.kind, decoded(&record)) {
                assert_eq!(record.key, order.user_id.as_bytes());
                assert_eq!(record.event_id.as_ref(), Some(&order.event_id));
                *spent.entry(order.user_id).or_default() += order.amount_cents;
            }
            if let (Some(id), Some(order)) = (&record.event_id, decoded(&record)) {
                assert_eq!(
                    (id, ids.entry(id.clone()).or_insert(record.value)),
                    (&order.event_id, &mut json(&order).into_bytes())
                );
            }
        }
        assert!(used.len() as u64 <= keys && (keys > 100 || used.len() as u64 == keys), "{}", used.len());
        assert!(spent.values().all(|&cents| cents <= 1_000_000), "{keys} keys");
    }
}

#[test]
fn odd_recipes_do_not_panic() {
    let shares = [f64::NAN, -1.0, 2.0];
    for share in shares {
        let recipe =
            SampleOrders { count: 50, duplicates: share, poison: share, unaffordable: share, ..RECIPE };
        assert_eq!(recipe.records().count(), 50);
    }
    assert_eq!(SampleOrders { keys: Some(0), ..RECIPE }.records().count(), 5000);
    for opening_credit_cents in [i64::MIN, -1, 0, 1, i64::MAX] {
        let recipe = SampleOrders { opening_credit_cents, ..RECIPE };
        let negative =
            recipe.records().filter_map(|record| decoded(&record)).any(|order| order.amount_cents < 0);
        assert!(!negative, "{opening_credit_cents}");
    }
}
