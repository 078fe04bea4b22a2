//! A server of PostgreSQL.

mod transaction;

use std::{io, time::Duration};

use oncewise::config::mask_url;
use sqlx::{
    Connection, PgConnection, PgPool,
    migrate::Migrator,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::time::timeout;
use url::{Url, form_urlencoded};

pub use self::transaction::PostgresTransaction;
use super::OpenError;

/// What may stand behind the `?` of a URL, beside `options[NAME]`.
pub(super) const PARAMETERS: [&str; 13] = [
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];
/// Stands for what may be a secret.
const MASK: &str = "***";

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgres");

/// How long a handler waits for a connection, a free one or a new one.
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
    known_parameters(url)?;
    let place = mask_url(url);
    let failed = |source| OpenError::Open { place: place.clone(), source };
    let options: PgConnectOptions = url.parse().map_err(failed)?;
    let mut connection =
        within(ANSWER_TIMEOUT, PgConnection::connect_with(&options)).await.map_err(failed)?;
    let migrated = MIGRATIONS.run_direct(None, &mut connection, false).await;
    migrated.map_err(|source| OpenError::Migrate { place: place.clone(), source })?;
    within(ANSWER_TIMEOUT, connection.close()).await.map_err(failed)?;
    let pool = PgPoolOptions::new().max_connections(max_connections).acquire_timeout(ACQUIRE_TIMEOUT);
    Ok(pool.connect_lazy_with(options.options(SERVER_TIMEOUTS)))
}

/// What `sqlx` does not know it would write to the log, with its value, which may be a password.
fn known_parameters(url: &str) -> Result<(), OpenError> {
    let query = Url::parse(url).ok().and_then(|url| url.query().map(str::to_owned)).unwrap_or_default();
    for (name, _) in form_urlencoded::parse(query.as_bytes()) {
        let is_setting = name.starts_with("options[") && name.ends_with(']');
        if !is_setting && !PARAMETERS.contains(&&*name) {
            // With an `@` behind the `?`, it is the rest of a password that should have been escaped.
            let name = if query.contains('@') { MASK } else { &name };
            return Err(OpenError::Parameter(name.to_owned()));
        }
    }
    Ok(())
}

/// What the server answers, or that it does not.
async fn within<T>(
    limit: Duration,
    question: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    let silence = |_| Err(sqlx::Error::Io(io::ErrorKind::TimedOut.into()));
    timeout(limit, question).await.unwrap_or_else(silence)
}
