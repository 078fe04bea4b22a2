use std::{env, process::Stdio};

use oncewise::Failure;
use tokio::{io::AsyncReadExt, process::Command};

use super::*;
use crate::testing::{database, url};

async fn effect(database: &Database, key: &str) -> Result<bool, DatabaseError> {
    let Some(mut tx) = database.begin_once(key).await? else { return Ok(false) };
    sqlx::query("INSERT INTO wallets VALUES ('u1', 'EUR', 1) ON CONFLICT DO UPDATE SET balance_cents = balance_cents + 1")
        .execute(tx.connection())
        .await?;
    tx.commit().await?;
    Ok(true)
}

#[tokio::test]
async fn a_key_takes_effect_once() {
    let (database, _folder) = database().await;
    assert!(!database.has_applied("k1").await.unwrap());
    assert!(effect(&database, "k1").await.unwrap());
    assert!(!effect(&database, "k1").await.unwrap());
    assert!(effect(&database, "k2").await.unwrap());
    assert!(database.has_applied("k1").await.unwrap());
    assert_eq!(database.number("SELECT balance_cents FROM wallets").await, 2);
}

#[tokio::test]
async fn a_transaction_that_is_dropped_leaves_neither_effect_nor_key() {
    let (database, _folder) = database().await;
    let tx = database.begin_once("k1").await.unwrap().unwrap();
    drop(tx);
    assert!(!database.has_applied("k1").await.unwrap());
    assert!(effect(&database, "k1").await.unwrap(), "free for the next attempt");
}

#[tokio::test]
async fn a_transaction_has_the_writers_place_from_its_beginning() {
    let (database, folder) = database().await;
    let other = Database::open(&url(&folder)).await.unwrap();
    sqlx::query("PRAGMA busy_timeout = 0").execute(other.pool()).await.unwrap();
    let _first = database.begin().await.unwrap();
    assert!(error::is_busy(&other.begin().await.unwrap_err()));
}

#[tokio::test]
async fn opening_again_keeps_what_is_there() {
    let (database, folder) = database().await;
    effect(&database, "k1").await.unwrap();
    let again = Database::open(&url(&folder)).await.unwrap();
    assert!(again.has_applied("k1").await.unwrap());
    assert_eq!(again.number("SELECT count(*) FROM _sqlx_migrations").await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_may_open_a_new_file_at_the_same_moment() {
    for _ in 0..100 {
        let folder = tempfile::tempdir().unwrap();
        let opening: Vec<_> = (0..2).map(|_| tokio::spawn(open(url(&folder)))).collect();
        for database in opening {
            assert_eq!(database.await.unwrap().number("SELECT count(*) FROM _sqlx_migrations").await, 4);
        }
    }
}

async fn open(url: String) -> Database {
    Database::open(&url).await.unwrap()
}

#[tokio::test]
async fn the_file_is_set_up_for_several_writers() {
    let (database, _folder) = database().await;
    let mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(database.pool()).await.unwrap();
    assert_eq!(mode, "wal");
    assert_eq!(database.number("PRAGMA busy_timeout").await, 10_000);
    assert_eq!(database.number("PRAGMA synchronous").await, 1, "NORMAL");
    assert_eq!(database.number("PRAGMA foreign_keys").await, 1);
}

#[tokio::test]
async fn another_url_is_refused_without_its_password() {
    let refusal = async |url: &str| Database::open(url).await.unwrap_err().to_string();
    assert_eq!(
        refusal("postgres://me:hunter2@db/shop").await,
        "[database] url: `postgres://` is not supported; allowed is sqlite://PATH"
    );
    assert_eq!(refusal("me:hunter2@db/shop").await, "[database] url: not a URL; allowed is sqlite://PATH");
    assert_eq!(
        refusal("sqlite://").await,
        "[database] url: `sqlite://` names no file; allowed is sqlite://PATH"
    );
    assert_eq!(
        refusal("sqlite:///no/such/folder/shop.db").await,
        "[database] url: cannot open `/no/such/folder/shop.db`"
    );
}

/// Another connection has the file, for longer than this one waits.
#[tokio::test]
async fn a_database_that_is_busy_is_tried_again_and_a_broken_constraint_is_not() {
    let (database, folder) = database().await;
    sqlx::query("PRAGMA busy_timeout = 0").execute(database.pool()).await.unwrap();
    let other = Database::open(&url(&folder)).await.unwrap();
    let held = other.begin_once("k1").await.unwrap().unwrap();
    let busy = database.begin_once("k2").await.unwrap_err();
    assert!(busy.to_string().contains("locked"), "{busy}");
    assert!(matches!(Failure::from(busy), Failure::Retry { .. }));
    held.commit().await.unwrap();

    for broken in [
        "INSERT INTO wallets VALUES ('u1', 'EUR', -1)",
        "INSERT INTO wallets VALUES ('u1', NULL, 1)",
        "INSERT INTO payments VALUES ('o1', 'e1', 'nobody', 1, 'EUR')",
        "INSERT INTO _sqlx_migrations SELECT * FROM _sqlx_migrations",
    ] {
        let error = DatabaseError::from(sqlx::query(broken).execute(database.pool()).await.unwrap_err());
        assert!(matches!(Failure::from(error), Failure::Reject { .. }), "{broken}");
    }
    database.pool().close().await;
    assert!(matches!(Failure::from(database.begin_once("k3").await.unwrap_err()), Failure::Retry { .. }));
}

const SHARED: &str = "SHOP_TEST_SHARED_DATABASE";
const KEYS: i64 = 100;

/// Three processes open one new file and write the same keys, each from many tasks.
#[tokio::test(flavor = "multi_thread")]
async fn processes_write_side_by_side() {
    if let Ok(url) = env::var(SHARED) {
        return write_all_keys(&url).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let start = || {
        Command::new(env::current_exe().unwrap())
            .args(["--exact", "database::tests::processes_write_side_by_side"])
            .env(SHARED, url(&folder))
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    };
    for mut process in [start(), start(), start()] {
        let mut output = String::new();
        process.stdout.take().unwrap().read_to_string(&mut output).await.unwrap();
        assert!(process.wait().await.unwrap().success(), "{output}");
    }
    let database = Database::open(&url(&folder)).await.unwrap();
    assert_eq!(database.number("SELECT count(*) FROM inbox").await, KEYS);
    assert_eq!(database.number("SELECT balance_cents FROM wallets").await, KEYS);
}

async fn write_all_keys(url: &str) {
    let database = Database::open(url).await.unwrap();
    let tasks: Vec<_> = (0..KEYS)
        .map(|key| {
            let database = database.clone();
            tokio::spawn(async move { effect(&database, &key.to_string()).await.unwrap() })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}
