//! An order and a database for the tests of this crate.

use oncewise::{Failure, Outcome};
use tempfile::TempDir;

use crate::{
    database::Database,
    event::{Item, OrderCreated},
};

/// An order of 19.99 EUR by user `u1`.
pub(crate) fn order(event_id: &str) -> OrderCreated {
    OrderCreated {
        event_id: event_id.into(),
        order_id: format!("o-{event_id}"),
        user_id: "u1".into(),
        amount_cents: 1999,
        currency: "EUR".into(),
        items: vec![Item { sku: "book".into(), quantity: 2 }],
        email: "ann@example.com".into(),
        phone: Some("+4912345".into()),
        created_at: "2026-01-02T03:04:05Z".parse().unwrap(),
    }
}

/// A database of its own, and the folder that goes with it.
pub(crate) async fn database() -> (Database, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (Database::open(&url(&folder)).await.unwrap(), folder)
}

pub(crate) fn url(folder: &TempDir) -> String {
    format!("sqlite://{}", folder.path().join("shop.db").display())
}

pub(crate) fn is_retry(outcome: &Outcome) -> bool {
    matches!(outcome, Err(Failure::Retry { .. }))
}

pub(crate) fn is_reject(outcome: &Outcome) -> bool {
    matches!(outcome, Err(Failure::Reject { .. }))
}

impl Database {
    /// The only number that a query answers.
    pub(crate) async fn number(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(self.pool()).await.unwrap()
    }
}
