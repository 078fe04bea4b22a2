//! What goes wrong with a database.

use oncewise::Failure;
use sqlx::{
    error::{DatabaseError as SqlError, ErrorKind},
    migrate::MigrateError,
    postgres::PgDatabaseError,
};
use thiserror::Error;

use super::postgres::PARAMETERS;

/// A statement that failed.
#[derive(Debug, Error)]
#[error("database: {0}")]
pub struct DatabaseError(#[from] sqlx::Error);

/// The one place that says which database errors are worth another try: all but those that the same event will
/// meet again.
impl From<DatabaseError> for Failure {
    fn from(error: DatabaseError) -> Self {
        let refusal = error.0.as_database_error();
        if refusal.is_some_and(is_final) { Self::reject(error) } else { Self::retry(error) }
    }
}

/// A constraint that does not hold; in PostgreSQL also a value that no column can have (class 22), such as a text
/// with a zero byte, or one that no index can hold (class 54).
fn is_final(refusal: &dyn SqlError) -> bool {
    let unstorable = |error: &PgDatabaseError| ["22", "54"].contains(&&error.code()[..2]);
    refusal.try_downcast_ref().is_some_and(unstorable)
        || matches!(
            refusal.kind(),
            ErrorKind::UniqueViolation
                | ErrorKind::ForeignKeyViolation
                | ErrorKind::NotNullViolation
                | ErrorKind::CheckViolation
                | ErrorKind::ExclusionViolation
        )
}

/// Whether another connection has the file. SQLite gives the reason in the low byte of its code.
pub(super) fn is_busy(error: &sqlx::Error) -> bool {
    const SQLITE_BUSY: u32 = 5;
    let code = error.as_database_error().and_then(|refusal| refusal.code()?.parse::<u32>().ok());
    code.is_some_and(|code| code & 0xff == SQLITE_BUSY)
}

/// A database that cannot be used. Of a URL it repeats the scheme and the server.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another kind of database.
    #[error(
        "[database] url: `{0}://` is not supported; allowed are sqlite://PATH and postgres://HOST/DATABASE"
    )]
    Scheme(String),
    /// No URL.
    #[error("[database] url: not a URL; allowed are sqlite://PATH and postgres://HOST/DATABASE")]
    NoScheme,
    /// A parameter of the server's URL that nobody reads.
    #[error("[database] url: the parameter `{0}` is not known; allowed are {allowed}", allowed = PARAMETERS.join(", "))]
    Parameter(String),
    /// No file.
    #[error("[database] url: `sqlite://` names no file; allowed is sqlite://PATH")]
    NoPath,
    /// It cannot be opened.
    #[error("[database] url: cannot open `{place}`")]
    Open {
        /// The file or the server.
        place: String,
        /// Why.
        source: sqlx::Error,
    },
    /// The tables cannot be brought up to date.
    #[error("[database] url: cannot bring the tables of `{place}` up to date")]
    Migrate {
        /// The file or the server.
        place: String,
        /// Why.
        source: MigrateError,
    },
}
