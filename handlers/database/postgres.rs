//! A server of PostgreSQL.

use std::{io, time::Duration};

use oncewise::config::mask_url;
use sqlx::{
    Connection, PgConnection, PgPool,
    migrate::Migrator,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::time::timeout;

use super::OpenError;

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgres");

/// How long a handler waits for a free connection, and for a new one.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the server works on one statement, waiting for locks included, and how long it lets a worker that
/// was frozen in the middle of a transaction keep its locks.
const SERVER_TIMEOUTS: [(&str, &str); 2] =
    [("statement_timeout", "10s"), ("idle_in_transaction_session_timeout", "30s")];
/// After so long without an answer nobody is there any more. Longer than the server itself takes.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// Connects at once, so that a start names what is wrong, and brings the tables up to date: one process after
/// the other, under an advisory lock, and without the timeouts, as a large table may take its time.
pub(super) async fn open(url: &str, max_connections: u32) -> Result<PgPool, OpenError> {
    let place = mask_url(url);
    let failed = |source| OpenError::Open { place: place.clone(), source };
    let options: PgConnectOptions = url.parse().map_err(failed)?;
    let mut connection = answer(PgConnection::connect_with(&options)).await.map_err(failed)?;
    let migrated = MIGRATIONS.run_direct(None, &mut connection, false).await;
    migrated.map_err(|source| OpenError::Migrate { place: place.clone(), source })?;
    answer(connection.close()).await.map_err(failed)?;
    Ok(pool(max_connections).connect_lazy_with(options.options(SERVER_TIMEOUTS)))
}

/// A connection that comes back is asked for a sign of life with a deadline: without it, one to a server that
/// has vanished without a word would keep its place until the operating system gives it up.
fn pool(max_connections: u32) -> PgPoolOptions {
    PgPoolOptions::new().max_connections(max_connections).acquire_timeout(ACQUIRE_TIMEOUT).after_release(
        |connection, _| Box::pin(async move { answer(connection.ping()).await.map(|()| true) }),
    )
}

/// What the server answers, or that it does not.
pub(super) async fn answer<T>(
    question: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    let silent = |_| Err(sqlx::Error::Io(io::ErrorKind::TimedOut.into()));
    timeout(ANSWER_TIMEOUT, question).await.unwrap_or_else(silent)
}
