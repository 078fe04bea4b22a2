//! The database, and the transaction that holds an effect together with its mark.

mod error;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use sqlx::{
    Sqlite, SqliteConnection, SqlitePool,
    migrate::{MigrateError, Migrator},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::time::sleep;

pub use self::error::{DatabaseError, OpenError};

static MIGRATIONS: Migrator = sqlx::migrate!();

/// How long a transaction waits for that of another process.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long until a connection that was refused is tried again.
const BUSY_PAUSE: Duration = Duration::from_millis(10);

/// The shop's database. Clones share one connection.
#[derive(Debug, Clone)]
pub struct Database {
    pool: SqlitePool,
}

impl Database {
    /// Opens `sqlite://PATH`, creates the file where there is none, and brings its tables up to date. Any
    /// number of processes may do so at the same moment.
    ///
    /// # Errors
    /// The URL names no SQLite file, the file cannot be opened or written, or a newer version of the shop
    /// has changed its tables.
    pub async fn open(url: &str) -> Result<Self, OpenError> {
        let path = path(url)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .busy_timeout(BUSY_TIMEOUT)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .foreign_keys(true);
        let pool = connect(options).await.map_err(|source| OpenError::Open { path: path.into(), source })?;
        let database = Self { pool };
        database.migrate().await.map_err(|source| OpenError::Migrate { path: path.into(), source })?;
        Ok(database)
    }

    /// Begins the transaction of the effect with this key. The key is written with it; `None` if it is
    /// already there, that is, if the effect has been committed before. Dropped, it leaves no trace.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn begin_once(&self, idempotency_key: &str) -> Result<Option<Transaction>, DatabaseError> {
        let mut tx = self.begin().await?;
        let marked = sqlx::query(
            "INSERT INTO inbox (idempotency_key) VALUES ($1) ON CONFLICT (idempotency_key) DO NOTHING",
        )
        .bind(idempotency_key)
        .execute(tx.connection())
        .await?;
        Ok((marked.rows_affected() == 1).then_some(tx))
    }

    /// Whether the effect with this key has been committed.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn has_applied(&self, idempotency_key: &str) -> Result<bool, DatabaseError> {
        let query = sqlx::query("SELECT 1 FROM inbox WHERE idempotency_key = $1").bind(idempotency_key);
        Ok(query.fetch_optional(&self.pool).await?.is_some())
    }

    /// Takes the writer's place at once: a transaction that reads first and writes later is refused when
    /// another has written in between, without waiting.
    async fn begin(&self) -> Result<Transaction, sqlx::Error> {
        self.pool.begin_with("BEGIN IMMEDIATE").await.map(Transaction)
    }

    /// All in one transaction, since SQLite has no other lock that keeps two processes from doing the same.
    async fn migrate(&self) -> Result<(), MigrateError> {
        let mut tx = self.begin().await?;
        MIGRATIONS.run_direct(None, tx.connection(), false).await?;
        tx.0.commit().await?;
        Ok(())
    }

    pub(crate) fn pool(&self) -> &SqlitePool {
        &self.pool
    }
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
            Err(refusal) if error::is_busy(&refusal) && Instant::now() < deadline => sleep(BUSY_PAUSE).await,
            answer => return answer,
        }
    }
}

/// The path in `sqlite://PATH`. Of anything else only the scheme is repeated, as the rest may be a password.
fn path(url: &str) -> Result<&str, OpenError> {
    match url.split_once("://") {
        Some(("sqlite", "")) => Err(OpenError::NoPath),
        Some(("sqlite", path)) => Ok(path),
        Some((scheme, _)) => Err(OpenError::Scheme(scheme.into())),
        None => Err(OpenError::NoScheme),
    }
}

/// An open transaction; dropped without [`commit`](Self::commit), it leaves no trace.
#[derive(Debug)]
pub struct Transaction(sqlx::Transaction<'static, Sqlite>);

impl Transaction {
    /// Where statements are executed.
    pub fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.0
    }

    /// Makes the effect and its key last.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn commit(self) -> Result<(), DatabaseError> {
        Ok(self.0.commit().await?)
    }
}
