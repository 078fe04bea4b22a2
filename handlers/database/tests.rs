use std::{env, process::Stdio};

use oncewise::{Failure, testing::context};
use tokio::{io::AsyncReadExt, process::Command};

use super::{inbox::Inbox, *};
use crate::testing::{Home, database};

const MIGRATIONS: &str = "SELECT count(*) FROM _sqlx_migrations";

#[tokio::test]
async fn opening_again_keeps_what_is_there() {
    let (database, home) = database().await;
    let inbox = Inbox::new(database.clone());
    inbox.begin(&context("k1")).await.unwrap().unwrap().commit(&context("k1")).await.unwrap();
    let migrations = database.number(MIGRATIONS).await;
    let again = home.open().await;
    assert!(Inbox::new(again.clone()).was_applied(&context("k1")).await.unwrap());
    assert_eq!(again.number(MIGRATIONS).await, migrations);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_may_open_a_new_database_at_the_same_moment() {
    for _ in 0..if database().await.0.is_sqlite() { 100 } else { 5 } {
        let home = Home::new().await;
        let opening: Vec<_> = (0..2).map(|_| tokio::spawn(open(home.url().to_owned()))).collect();
        for database in opening {
            assert_ne!(database.await.unwrap().number(MIGRATIONS).await, 0);
        }
    }
}

async fn open(url: String) -> Database {
    Database::open(&url, 4).await.unwrap()
}

#[tokio::test]
async fn another_url_is_refused_without_its_password() {
    let refusal = async |url: &str| Database::open(url, 1).await.unwrap_err().to_string();
    assert_eq!(
        refusal("mysql://me:hunter2@db/shop").await,
        "[database] url: `mysql://` is not supported; allowed are sqlite://PATH and postgres://HOST/DATABASE"
    );
    assert_eq!(
        refusal("me:hunter2@db/shop").await,
        "[database] url: not a URL; allowed are sqlite://PATH and postgres://HOST/DATABASE"
    );
    assert_eq!(
        refusal("sqlite://").await,
        "[database] url: `sqlite://` names no file; allowed is sqlite://PATH"
    );
    assert_eq!(
        refusal("sqlite:///no/such/folder/shop.db").await,
        "[database] url: cannot open `/no/such/folder/shop.db`"
    );
    assert_eq!(
        refusal("postgres://me:hunter2@127.0.0.1:1/shop").await,
        "[database] url: cannot open `postgres://***@127.0.0.1:1/shop`"
    );
    assert_eq!(
        refusal("postgres://me@db/shop?sslmode=disable&sslpassword=hunter2").await,
        "[database] url: the parameter `sslpassword` is not known; allowed are sslmode, sslrootcert, sslcert, \
         sslkey, statement-cache-capacity, host, hostaddr, port, dbname, user, password, application_name, options"
    );
    let not_a_name = refusal("postgres://me:12?hunter2@db/shop").await;
    assert!(not_a_name.contains("the parameter `***` is not known"), "{not_a_name}");
    assert_eq!(
        refusal("postgres://me:12/hunter2@db/shop").await,
        "[database] url: cannot open `postgres://***@db/shop`"
    );
}

#[tokio::test]
async fn a_broken_constraint_rejects() {
    let (database, _home) = database().await;
    for broken in [
        "INSERT INTO wallets VALUES ('u1', 'EUR', -1)",
        "INSERT INTO wallets VALUES ('u1', NULL, 1)",
        "INSERT INTO payments VALUES ('o1', 'e1', 'nobody', 1, 'EUR')",
        "INSERT INTO _sqlx_migrations SELECT * FROM _sqlx_migrations",
    ] {
        let error = database.execute(broken).await.unwrap_err();
        assert!(matches!(Failure::from(error), Failure::Reject { .. }), "{broken}");
    }
}

#[tokio::test]
async fn a_database_that_is_gone_is_tried_again() {
    let (database, _home) = database().await;
    match &database {
        Database::Sqlite(pool) => pool.close().await,
        Database::Postgres(pool) => pool.close().await,
    }
    assert!(matches!(Failure::from(database.begin().await.unwrap_err()), Failure::Retry { .. }));
}

const SHARED: &str = "SHOP_TEST_SHARED_DATABASE";
const KEYS: i64 = 100;

/// Three processes open one new database and write the same keys, each from many tasks.
#[tokio::test(flavor = "multi_thread")]
async fn processes_write_side_by_side() {
    if let Ok(url) = env::var(SHARED) {
        return write_all_keys(&url).await;
    }
    let home = Home::new().await;
    let start = || {
        Command::new(env::current_exe().unwrap())
            .args(["--exact", "database::tests::processes_write_side_by_side"])
            .env(SHARED, home.url())
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
    let database = home.open().await;
    assert_eq!(database.number("SELECT count(*) FROM inbox").await, KEYS);
    assert_eq!(database.number("SELECT balance_cents FROM wallets").await, KEYS);
}

async fn write_all_keys(url: &str) {
    let inbox = Inbox::new(open(url.to_owned()).await);
    let effect = async |key: String| {
        let ctx = context(&key);
        if let Some(mut tx) = inbox.begin(&ctx).await.unwrap() {
            tx.credit().await;
            tx.commit(&ctx).await.unwrap();
        }
    };
    futures_util::future::join_all((0..KEYS).map(|key| effect(key.to_string()))).await;
}

/// What only a file does, whatever the other tests run on.
mod sqlite {
    use super::*;

    async fn opened(folder: &tempfile::TempDir) -> (Database, SqlitePool) {
        let database = open(format!("sqlite://{}", folder.path().join("shop.db").display())).await;
        let Database::Sqlite(pool) = database.clone() else { panic!("{database:?}") };
        (database, pool)
    }

    #[tokio::test]
    async fn a_transaction_has_the_writers_place_from_its_beginning_and_who_comes_too_late_tries_again() {
        let folder = tempfile::tempdir().unwrap();
        let (database, _) = opened(&folder).await;
        let (other, pool) = opened(&folder).await;
        sqlx::query("PRAGMA busy_timeout = 0").execute(&pool).await.unwrap();
        let _first = database.begin().await.unwrap();
        let busy = other.begin().await.unwrap_err();
        assert!(busy.to_string().contains("locked"), "{busy}");
        assert!(matches!(Failure::from(busy), Failure::Retry { .. }));
    }

    #[tokio::test]
    async fn the_file_is_set_up_for_several_writers() {
        let folder = tempfile::tempdir().unwrap();
        let (database, pool) = opened(&folder).await;
        let mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&pool).await.unwrap();
        assert_eq!(mode, "wal");
        assert_eq!(database.number("PRAGMA busy_timeout").await, 10_000);
        assert_eq!(
            database.number("PRAGMA synchronous").await,
            2,
            "FULL: what is acknowledged survives a power loss"
        );
        assert_eq!(database.number("PRAGMA foreign_keys").await, 1);
    }
}
