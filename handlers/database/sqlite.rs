//! A file of SQLite.

use std::time::{Duration, Instant};

use sqlx::{
    Sqlite, SqlitePool,
    migrate::{MigrateError, Migrator},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::time::sleep;

use super::{OpenError, error::is_busy};

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

/// How long a transaction waits for that of another process.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long until a connection that was refused is tried again.
const BUSY_PAUSE: Duration = Duration::from_millis(10);

pub(super) async fn open(path: &str) -> Result<SqlitePool, OpenError> {
    if path.is_empty() {
        return Err(OpenError::NoPath);
    }
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .busy_timeout(BUSY_TIMEOUT)
        .journal_mode(SqliteJournalMode::Wal)
        // What was acknowledged to Kafka and Redis must survive a power loss here too.
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true);
    let pool = connect(options).await.map_err(|source| OpenError::Open { place: path.into(), source })?;
    migrate(&pool).await.map_err(|source| OpenError::Migrate { place: path.into(), source })?;
    Ok(pool)
}

/// Takes the writer's place at once: a transaction that reads first and writes later is refused when another
/// has written in between, without waiting.
pub(super) async fn begin(pool: &SqlitePool) -> Result<sqlx::Transaction<'static, Sqlite>, sqlx::Error> {
    pool.begin_with("BEGIN IMMEDIATE").await
}

/// All in one transaction, since SQLite has no other lock that keeps two processes from doing the same.
async fn migrate(pool: &SqlitePool) -> Result<(), MigrateError> {
    let mut tx = begin(pool).await?;
    MIGRATIONS.run_direct(None, &mut *tx, false).await?;
    tx.commit().await?;
    Ok(())
}

/// One connection, and patience for it. Two who switch a new file to WAL at the same moment may each hold
/// what the other waits for; SQLite then refuses one of them at once, without the waiting it was told to do.
async fn connect(options: SqliteConnectOptions) -> Result<SqlitePool, sqlx::Error> {
    // SQLite has one writer at a time. Handlers queue for one connection in order; with one each they would
    // poll for the file's lock, and the unlucky ones would starve.
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None);
    let deadline = Instant::now() + BUSY_TIMEOUT;
    loop {
        match pool.clone().connect_with(options.clone()).await {
            Err(refusal) if is_busy(&refusal) && Instant::now() < deadline => sleep(BUSY_PAUSE).await,
            answer => return answer,
        }
    }
}
