//! The shop's database as an auditor reads it.

use std::collections::BTreeMap;

use handlers::{event::OrderCreated, sample::SampleKind};

use crate::{database::Reader, setup::Sent};

/// Every effect there is. Lists are sorted and keep what occurs twice.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Ledger {
    /// Event and amount of each stored order.
    pub(crate) orders: Vec<(String, i64)>,
    /// Event and amount of each payment.
    pub(crate) payments: Vec<(String, i64)>,
    /// What each user has left, in hundredths.
    pub(crate) wallets: BTreeMap<String, i64>,
    /// Event and channel of each confirmation.
    pub(crate) confirmations: Vec<(String, String)>,
    /// Order and amount of each receipt.
    pub(crate) receipts: Vec<(String, i64)>,
    /// How many effects are marked as applied.
    pub(crate) marks: i64,
}

impl Ledger {
    /// What is in the database of this URL.
    pub(crate) async fn read(url: &str) -> Ledger {
        let mut db = Reader::connect(url).await;
        let mut ledger = Ledger {
            orders: db.rows("SELECT event_id, amount_cents FROM orders").await,
            payments: db.rows("SELECT event_id, amount_cents FROM payments").await,
            wallets: db.rows("SELECT user_id, balance_cents FROM wallets").await.into_iter().collect(),
            confirmations: db.rows("SELECT event_id, channel FROM notifications").await,
            receipts: db.rows("SELECT order_id, amount_cents FROM receipts").await,
            marks: db.rows::<(i64,)>("SELECT count(*) FROM inbox").await[0].0,
        };
        ledger.sort();
        ledger
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
            ledger.confirmations.push((event.clone(), "email".to_owned()));
            if order.phone.is_some() {
                ledger.confirmations.push((event.clone(), "sms".to_owned()));
            }
            ledger.marks += 1;
            if record.kind == SampleKind::Order {
                ledger.payments.push((event, cents));
                *ledger.wallets.entry(order.user_id).or_insert(opening_credit_cents) -= cents;
                ledger.receipts.push((order.order_id, cents));
                ledger.marks += 2;
            }
        }
        ledger.sort();
        ledger
    }

    fn sort(&mut self) {
        self.orders.sort();
        self.payments.sort();
        self.confirmations.sort();
        self.receipts.sort();
    }

    /// Compares without printing tens of thousands of rows.
    pub(crate) fn must_be(&self, expected: &Ledger) {
        let counts = |ledger: &Ledger| {
            let Ledger { orders, payments, wallets, confirmations, receipts, marks } = ledger;
            let rows = [orders.len(), payments.len(), wallets.len(), confirmations.len(), receipts.len()];
            (rows, *marks)
        };
        let names = "orders, payments, wallets, confirmations, receipts; marks";
        assert_eq!(counts(self), counts(expected), "{names}");
        let first = |a: &[(String, i64)], b: &[(String, i64)]| {
            a.iter().zip(b).find(|(a, b)| a != b).map(|(a, b)| format!("{a:?}, expected was {b:?}"))
        };
        assert_eq!(first(&self.orders, &expected.orders), None, "orders");
        assert_eq!(first(&self.payments, &expected.payments), None, "payments");
        assert_eq!(first(&self.receipts, &expected.receipts), None, "receipts");
        assert!(self.confirmations == expected.confirmations, "the confirmations are others");
        let wallets = |ledger: &Ledger| ledger.wallets.clone().into_iter().collect::<Vec<_>>();
        assert_eq!(first(&wallets(self), &wallets(expected)), None, "wallets");
    }
}
