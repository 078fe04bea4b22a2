//! The shop's database as an auditor reads it.

use std::collections::BTreeMap;
use std::path::Path;

use handlers::{event::OrderCreated, sample::SampleKind};
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::setup::Sent;

/// Every effect there is. Lists are sorted and keep what occurs twice.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Ledger {
    /// Event and amount of each stored order.
    pub(crate) orders: Vec<(String, i64)>,
    /// Event and amount of each payment.
    pub(crate) payments: Vec<(String, i64)>,
    /// What each user has left, in hundredths.
    pub(crate) wallets: BTreeMap<String, i64>,
    /// Event and channel of each receipt.
    pub(crate) receipts: Vec<(String, String)>,
    /// How many effects are marked as applied.
    pub(crate) marks: i64,
}

impl Ledger {
    pub(crate) async fn read(file: &Path) -> Ledger {
        let options = SqliteConnectOptions::new().filename(file).read_only(true);
        let mut db = SqliteConnection::connect_with(&options).await.unwrap();
        let orders = "SELECT event_id, amount_cents FROM orders ORDER BY 1, 2";
        let payments = "SELECT event_id, amount_cents FROM payments ORDER BY 1, 2";
        let receipts = "SELECT event_id, channel FROM notifications ORDER BY 1, 2";
        let wallets: Vec<(String, i64)> =
            sqlx::query_as("SELECT user_id, balance_cents FROM wallets").fetch_all(&mut db).await.unwrap();
        Ledger {
            orders: sqlx::query_as(orders).fetch_all(&mut db).await.unwrap(),
            payments: sqlx::query_as(payments).fetch_all(&mut db).await.unwrap(),
            wallets: wallets.into_iter().collect(),
            receipts: sqlx::query_as(receipts).fetch_all(&mut db).await.unwrap(),
            marks: sqlx::query_scalar("SELECT count(*) FROM inbox").fetch_one(&mut db).await.unwrap(),
        }
    }

    /// What these records must lead to, each event once.
    pub(crate) fn expected(sent: &[Sent], opening_credit_cents: i64) -> Ledger {
        let mut ledger = Ledger::default();
        for Sent { record, .. } in sent {
            if !matches!(record.kind, SampleKind::Order | SampleKind::Unaffordable) {
                continue;
            }
            let order: OrderCreated = serde_json::from_slice(&record.value).unwrap();
            let (event, cents) = (order.event_id, order.amount_cents);
            ledger.orders.push((event.clone(), cents));
            ledger.receipts.push((event.clone(), "email".to_owned()));
            if order.phone.is_some() {
                ledger.receipts.push((event.clone(), "sms".to_owned()));
            }
            ledger.marks += 1;
            if record.kind == SampleKind::Order {
                ledger.payments.push((event, cents));
                *ledger.wallets.entry(order.user_id).or_insert(opening_credit_cents) -= cents;
                ledger.marks += 1;
            }
        }
        ledger.orders.sort();
        ledger.payments.sort();
        ledger.receipts.sort();
        ledger
    }

    /// Compares without printing tens of thousands of rows.
    pub(crate) fn must_be(&self, expected: &Ledger) {
        let counts = |ledger: &Ledger| {
            let Ledger { orders, payments, wallets, receipts, marks } = ledger;
            [orders.len() as i64, payments.len() as i64, wallets.len() as i64, receipts.len() as i64, *marks]
        };
        let names = "orders, payments, wallets, receipts, marks";
        assert_eq!(counts(self), counts(expected), "{names}");
        let first = |a: &[(String, i64)], b: &[(String, i64)]| {
            a.iter().zip(b).find(|(a, b)| a != b).map(|(a, b)| format!("{a:?}, expected was {b:?}"))
        };
        assert_eq!(first(&self.orders, &expected.orders), None, "orders");
        assert_eq!(first(&self.payments, &expected.payments), None, "payments");
        assert!(self.receipts == expected.receipts, "the receipts are others");
        let wallets = |ledger: &Ledger| ledger.wallets.clone().into_iter().collect::<Vec<_>>();
        assert_eq!(first(&wallets(self), &wallets(expected)), None, "wallets");
    }
}
