//! The shop on PostgreSQL: what becomes of it when connections break, servers fall silent and pods die.

use std::time::{Duration, Instant};

use handlers::{
    database::{Database, DatabaseError, Transaction, inbox::Inbox},
    sample::SampleOrders,
};
use oncewise::{Failure, testing::context};
use sqlx::{Connection, Executor, PgConnection, postgres::PgQueryResult};

use crate::{
    database::{postgres, server},
    ledger::Ledger,
    setup::{SERVICES, Shop, balanced, expected_letters},
    support::{proxy::Proxy, service, wait::until},
};

/// A server that refuses or ignores is found out within ten seconds, one that falls silent within fifteen.
const PATIENCE: Duration = Duration::from_secs(30);

/// A wire to the server, and the URL of a new database behind it.
async fn wire() -> (Proxy, String) {
    let url = postgres().await;
    let (start, rest) = url.split_once('@').unwrap();
    let (address, name) = rest.split_once('/').unwrap();
    let (_, port) = address.split_once(':').unwrap();
    let proxy = Proxy::start(port.parse().unwrap()).await;
    let url = format!("{start}@{}/{name}", proxy.address());
    (proxy, url)
}

fn is_retry(error: impl Into<Failure>) -> bool {
    matches!(error.into(), Failure::Retry { .. })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_break_and_a_pod_that_dies_change_no_sum() {
    const BREAKS: u64 = 3;
    let (proxy, url) = wire().await;
    let shop = Shop::on(4, url).await.with("SHOP__GATEWAY_BUSY_PERCENT", "5");
    let orders = SampleOrders { count: 6000, unaffordable: 0.05, ..SampleOrders::default() };
    let (steady, mut dying) = (shop.start(), shop.start());
    balanced(&[&steady, &dying], 4).await;
    let sent = shop.produce(&orders).await;
    for part in 1..=BREAKS {
        until("the pods to be at work", Duration::from_secs(60), async || {
            let counts = steady.counts().await;
            let settled = SERVICES.map(|name| counts.sum("records_total", name, &[]));
            if settled.iter().all(|settled| *settled >= part * 300) { Ok(()) } else { Err(settled) }
        })
        .await;
        proxy.cut_open_connections();
    }
    dying.worker.kill_9();
    shop.finishes(sent.len(), Duration::from_secs(180)).await;

    shop.ledger().await.must_be(&Ledger::expected(&sent, orders.opening_credit_cents));
    for name in SERVICES {
        let mut letters = shop.letters(name, &sent).await;
        letters.dedup();
        assert!(letters == expected_letters(&sent, name), "the dead letters of {name} are others");
    }
    shop.has_no_lag().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_falls_silent_is_found_out_and_its_connections_are_replaced() {
    let (proxy, url) = wire().await;
    let database = Database::open(&url, 1).await.unwrap();
    let Database::Postgres(pool) = &database else { panic!("{database:?}") };
    let tx = database.begin().await.unwrap();
    proxy.stall_open_connections();
    let asked = Instant::now();
    assert!(is_retry(tx.commit().await.unwrap_err()));
    until("the place of the dead connection to be free", PATIENCE, async || match database.begin().await {
        Ok(tx) => tx.commit().await.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    })
    .await;
    assert!(asked.elapsed() < PATIENCE, "{:?}", asked.elapsed());
    assert_eq!(pool.options().get_max_connections(), 1, "or others would have hidden it");

    // One that is idle is noticed before it is used.
    until("the connection to be idle", PATIENCE, async || {
        if pool.num_idle() == 1 { Ok(()) } else { Err(pool.num_idle()) }
    })
    .await;
    proxy.stall_open_connections();
    let asked = Instant::now();
    let error = database.begin().await.unwrap_err();
    assert!(is_retry(error) && asked.elapsed() < Duration::from_secs(25), "{:?}", asked.elapsed());
    database.begin().await.unwrap();
}

#[tokio::test]
async fn a_connection_that_broke_while_it_was_idle_costs_no_attempt_and_a_server_that_is_gone_does() {
    let (proxy, url) = wire().await;
    let database = Database::open(&url, 4).await.unwrap();
    database.begin().await.unwrap().commit().await.unwrap();
    proxy.cut_open_connections();
    database.begin().await.unwrap().commit().await.unwrap();

    proxy.refuse();
    let asked = Instant::now();
    assert!(is_retry(database.begin().await.unwrap_err()));
    assert!(asked.elapsed() < Duration::from_secs(15), "{:?}", asked.elapsed());
    let refused = Database::open(&url, 4).await.unwrap_err();
    assert!(asked.elapsed() < PATIENCE, "a start says so at once");
    let cause = std::error::Error::source(&refused).unwrap().to_string();
    assert!(cause.contains("refused") && !format!("{refused:?}").contains("right-password"), "{refused:?}");
}

#[tokio::test]
async fn the_server_proves_who_it_is_where_the_url_asks_for_it() {
    let url = postgres().await.replace("127.0.0.1", "localhost");
    let certificate = service("ONCEWISE_TEST_POSTGRES_CERTIFICATE");
    let database =
        Database::open(&format!("{url}?sslmode=verify-full&sslrootcert={certificate}"), 1).await.unwrap();
    let Database::Postgres(pool) = &database else { panic!("{database:?}") };
    let encrypted = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    assert!(sqlx::query_scalar::<_, bool>(encrypted).fetch_one(pool).await.unwrap());

    let unknown = Database::open(&format!("{url}?sslmode=verify-full"), 1).await.unwrap_err();
    let cause = std::error::Error::source(&unknown).unwrap().to_string();
    assert!(cause.contains("certificate"), "{cause}");
}

#[tokio::test]
async fn a_mark_whose_commit_was_lost_on_the_way_is_found_by_the_next_attempt() {
    let (proxy, url) = wire().await;
    let inbox = Inbox::new(Database::open(&url, 2).await.unwrap());
    let tx = inbox.begin(&context("k1")).await.unwrap().unwrap();
    proxy.lose_replies(true);
    assert!(is_retry(tx.commit(&context("k1")).await.unwrap_err()));
    proxy.lose_replies(false);
    proxy.cut_open_connections();
    assert!(inbox.begin(&context("k1")).await.unwrap().is_none(), "it had been written");
}

/// What two transactions do to each other ends by itself when one of them tries again.
#[tokio::test]
async fn what_another_attempt_may_mend_is_tried_again() {
    let url = postgres().await;
    Database::open(&url, 1).await.unwrap();
    let [mut a, mut b] =
        [PgConnection::connect(&url).await.unwrap(), PgConnection::connect(&url).await.unwrap()];
    a.execute("INSERT INTO wallets VALUES ('u1', 'EUR', 1), ('u2', 'EUR', 1)").await.unwrap();
    const SPEND: [&str; 2] = [
        "UPDATE wallets SET balance_cents = 0 WHERE user_id = 'u1'",
        "UPDATE wallets SET balance_cents = 0 WHERE user_id = 'u2'",
    ];

    for db in [&mut a, &mut b] {
        db.execute("BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT * FROM wallets").await.unwrap();
    }
    a.execute(SPEND[0]).await.unwrap();
    a.execute("COMMIT").await.unwrap();
    refused(b.execute(SPEND[0]).await, "40001");
    b.execute("ROLLBACK").await.unwrap();

    for (db, spend) in [(&mut a, SPEND[0]), (&mut b, SPEND[1])] {
        db.execute("BEGIN").await.unwrap();
        db.execute(spend).await.unwrap();
    }
    let (first, second) = tokio::join!(a.execute(SPEND[1]), b.execute(SPEND[0]));
    refused(if first.is_err() { first } else { second }, "40P01");

    for db in [&mut a, &mut b] {
        db.execute("ROLLBACK").await.unwrap();
    }
    a.execute("SET statement_timeout = 10").await.unwrap();
    refused(a.execute("SELECT pg_sleep(10)").await, "57014");
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut b).await.unwrap();
    let mut other = PgConnection::connect(&server()).await.unwrap();
    sqlx::query("SELECT pg_terminate_backend($1)").bind(pid).execute(&mut other).await.unwrap();
    assert!(is_retry(DatabaseError::from(b.execute("SELECT 1").await.unwrap_err())));
}

/// A handler that looks away from an error must not be told that its effect lasts.
#[tokio::test]
async fn a_transaction_in_which_a_statement_failed_cannot_be_committed() {
    let database = Database::open(&postgres().await, 1).await.unwrap();
    let mut tx = database.begin().await.unwrap();
    let Transaction::Postgres(db) = &mut tx else { panic!("{tx:?}") };
    db.execute("INSERT INTO wallets VALUES ('u1', 'EUR', 1)").await.unwrap();
    db.execute("INSERT INTO wallets VALUES ('u1', 'EUR', 1)").await.unwrap_err();
    let aborted = tx.commit().await.unwrap_err();
    assert!(aborted.to_string().contains("aborted"), "{aborted}");
    let mut tx = database.begin().await.unwrap();
    let Transaction::Postgres(db) = &mut tx else { panic!("{tx:?}") };
    let wallets: i64 = sqlx::query_scalar("SELECT count(*) FROM wallets").fetch_one(&mut **db).await.unwrap();
    assert_eq!(wallets, 0);
}

/// The error has this code, and is worth another try.
#[track_caller]
fn refused(answer: sqlx::Result<PgQueryResult>, code: &str) {
    let error = answer.unwrap_err();
    assert_eq!(error.as_database_error().unwrap().code().unwrap(), code, "{error}");
    assert!(is_retry(DatabaseError::from(error)));
}

#[tokio::test]
async fn a_value_that_the_database_can_never_hold_rejects() {
    let inbox = Inbox::new(Database::open(&postgres().await, 1).await.unwrap());
    for key in ["a zero byte: \0".to_owned(), (0..10_000).map(|n| n.to_string()).collect()] {
        let error = inbox.begin(&context(&key)).await.unwrap_err();
        assert!(!error.to_string().contains(&key), "no value in a text that reaches dead letters");
        assert!(matches!(Failure::from(error), Failure::Reject { .. }), "{} bytes", key.len());
    }
}

/// The limits that a server keeps to, so that a frozen worker's locks are given back.
#[tokio::test]
async fn the_server_is_told_how_long_to_wait() {
    let database = Database::open(&postgres().await, 1).await.unwrap();
    let Database::Postgres(pool) = &database else { panic!("{database:?}") };
    for (setting, value) in [("statement_timeout", "10s"), ("idle_in_transaction_session_timeout", "30s")] {
        let told: String =
            sqlx::query_scalar("SELECT current_setting($1)").bind(setting).fetch_one(pool).await.unwrap();
        assert_eq!(told, value, "{setting}");
    }
}
