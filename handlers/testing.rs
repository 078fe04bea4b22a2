//! An order and a database for the tests of this crate, and servers that misbehave when told to.

#[path = "../tests/support/gateway.rs"]
#[allow(dead_code, unreachable_pub, reason = "the tests of other packages use the rest of it")]
pub(crate) mod gateway;
#[path = "../tests/support/mail_server.rs"]
#[allow(dead_code, unreachable_pub, reason = "the tests of other packages use the rest of it")]
pub(crate) mod mail_server;

use std::{env, time::Duration};

use oncewise::{Failure, Outcome};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, SqlSafeStr};
use tempfile::TempDir;

use crate::{
    database::{Database, DatabaseError, Transaction, inbox::Inbox},
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

/// A database of one test: of SQLite, or of PostgreSQL where `ONCEWISE_TEST_DATABASE=postgres` asks for it, which
/// `tests/run` does once.
pub(crate) struct Home {
    url: String,
    _folder: TempDir,
}

impl Home {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = match env::var("ONCEWISE_TEST_DATABASE").as_deref() {
            Err(_) | Ok("sqlite") => format!("sqlite://{}", folder.path().join("shop.db").display()),
            Ok("postgres") => postgres().await,
            Ok(other) => panic!("ONCEWISE_TEST_DATABASE = {other}; allowed are sqlite and postgres"),
        };
        Self { url, _folder: folder }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) async fn open(&self) -> Database {
        Database::open(&self.url, 4).await.unwrap()
    }
}

/// A new database on the server of `tests/run`.
async fn postgres() -> String {
    let server = env::var("ONCEWISE_TEST_POSTGRES")
        .expect("ONCEWISE_TEST_POSTGRES is not set: start the services with tests/run");
    let name = format!("unit_{:016x}", rand::random::<u64>());
    let mut connection = PgConnection::connect(&server).await.unwrap();
    connection.execute(AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.unwrap();
    let (server, _) = server.rsplit_once('/').unwrap();
    format!("{server}/{name}")
}

/// A database of its own, and what goes with it.
pub(crate) async fn database() -> (Database, Home) {
    let home = Home::new().await;
    (home.open().await, home)
}

/// The same, as its inbox.
pub(crate) async fn inbox() -> (Inbox, Database, Home) {
    let (database, home) = database().await;
    (Inbox::new(database.clone()), database, home)
}

pub(crate) fn is_retry(outcome: &Outcome) -> bool {
    matches!(outcome, Err(Failure::Retry { .. }))
}

pub(crate) fn is_reject(outcome: &Outcome) -> bool {
    matches!(outcome, Err(Failure::Reject { .. }))
}

/// Asks until it is so, and not for ever.
pub(crate) async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let asking = async {
        while !is_so().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), asking).await.unwrap_or_else(|_| panic!("in vain: {what}"));
}

impl Database {
    /// The only number that a query answers.
    pub(crate) async fn number(&self, sql: &'static str) -> i64 {
        match self {
            Self::Sqlite(pool) => sqlx::query_scalar(sql).fetch_one(pool).await,
            Self::Postgres(pool) => sqlx::query_scalar(sql).fetch_one(pool).await,
        }
        .unwrap()
    }

    /// The texts that a query answers, one in each row.
    pub(crate) async fn texts(&self, sql: &'static str) -> Vec<String> {
        match self {
            Self::Sqlite(pool) => sqlx::query_scalar(sql).fetch_all(pool).await,
            Self::Postgres(pool) => sqlx::query_scalar(sql).fetch_all(pool).await,
        }
        .unwrap()
    }

    /// Does what a statement says.
    pub(crate) async fn execute(&self, sql: impl SqlSafeStr + Send + 'static) -> Result<(), DatabaseError> {
        match self {
            Self::Sqlite(pool) => pool.execute(sql).await.map(|_| ())?,
            Self::Postgres(pool) => pool.execute(sql).await.map(|_| ())?,
        }
        Ok(())
    }

    pub(crate) fn is_sqlite(&self) -> bool {
        matches!(self, Self::Sqlite(_))
    }

    /// Waits until some transaction waits for another. SQLite does not tell.
    pub(crate) async fn waits_for_a_lock(&self) {
        let waiting = "SELECT count(*) FROM pg_stat_activity
                       WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let waits = async || self.is_sqlite() || self.number(waiting).await > 0;
        until("a transaction waits for another", waits).await;
    }
}

impl Transaction {
    /// Adds a cent to the one wallet of these tests.
    pub(crate) async fn credit(&mut self) {
        let credit = "INSERT INTO wallets VALUES ('u1', 'EUR', 1)
                      ON CONFLICT (user_id) DO UPDATE SET balance_cents = wallets.balance_cents + 1";
        match self {
            Self::Sqlite(tx) => tx.execute(credit).await.map(|_| ()),
            Self::Postgres(tx) => tx.execute(credit).await.map(|_| ()),
        }
        .unwrap();
    }
}

/// The failure's text with all its causes, as a dead letter holds it.
pub(crate) fn text_of(failure: &Failure) -> String {
    let (Failure::Retry { cause, .. } | Failure::Reject { cause }) = failure;
    let causes = std::iter::successors(Some(&**cause as &dyn std::error::Error), |cause| cause.source());
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
        ("receipts", include_str!("receipts/write_receipt.rs")),
    ] {
        let lines = written_lines(source);
        assert!((10..=25).contains(&lines), "{name}: {lines} lines");
    }
}

#[tokio::test]
async fn the_services_are_three_groups_on_the_same_orders() {
    let home = Home::new().await;
    let config = crate::config::ShopConfig { database_url: home.url().to_owned(), ..Default::default() };
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
            (
                "notifications",
                "notifications",
                vec!["orders.created", "payments.settled"],
                vec!["send_confirmation", "write_receipt"]
            ),
        ]
    );
}
