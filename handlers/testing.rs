//! An order and a database for the tests of this crate, and servers that misbehave when told to.

#[path = "../tests/support/gateway.rs"]
#[allow(dead_code, unreachable_pub, reason = "the tests of other packages use the rest of it")]
pub(crate) mod gateway;
#[path = "../tests/support/mail_server.rs"]
#[allow(dead_code, unreachable_pub, reason = "the tests of other packages use the rest of it")]
pub(crate) mod mail_server;

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

/// The failure's text with all its causes, as a dead letter holds it.
pub(crate) fn text_of(failure: &Failure) -> String {
    let (Failure::Retry { cause, .. } | Failure::Reject { cause }) = failure;
    let causes = std::iter::successors(Some(&**cause as &(dyn std::error::Error)), |cause| cause.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// What an author writes counts as long as it is neither blank, nor an import, nor a comment.
fn written_lines(source: &str) -> usize {
    let body = source.split_once("\n\n").map_or(source, |(_, body)| body);
    let imports = |line: &&str| !(line.starts_with("use ") || line.starts_with("//") || line.is_empty());
    body.lines().map(str::trim).filter(imports).count()
}

#[test]
fn a_handler_module_has_at_most_25_lines() {
    for (name, source) in [
        ("orders", include_str!("orders/store_order.rs")),
        ("payments", include_str!("payments/charge.rs")),
        ("notifications", include_str!("notifications/send_confirmation.rs")),
    ] {
        let lines = written_lines(source);
        assert!((10..=25).contains(&lines), "{name}: {lines} lines");
    }
}

#[tokio::test]
async fn the_services_are_three_groups_on_one_topic() {
    let folder = tempfile::tempdir().unwrap();
    let config = crate::config::ShopConfig { database_url: url(&folder), ..Default::default() };
    let services = crate::services(&config).await.unwrap();
    let wiring: Vec<_> = services
        .iter()
        .map(|service| {
            service.table().check().unwrap();
            (
                service.name(),
                service.default_group(),
                service.table().topics().collect(),
                service.table().handlers().collect(),
            )
        })
        .collect::<Vec<(_, _, Vec<_>, Vec<_>)>>();
    assert_eq!(
        wiring,
        [
            ("orders", "orders", vec!["orders.created"], vec!["store_order"]),
            ("payments", "payments", vec!["orders.created"], vec!["charge_wallet"]),
            ("notifications", "notifications", vec!["orders.created"], vec!["send_confirmation"]),
        ]
    );
}
