//! What goes wrong with a database.

use oncewise::Failure;
use sqlx::{error::ErrorKind, migrate::MigrateError};
use thiserror::Error;

/// A statement that failed.
#[derive(Debug, Error)]
#[error("database: {0}")]
pub struct DatabaseError(#[from] sqlx::Error);

/// The one place that says which database errors are worth another try: all but the constraints, which an
/// event that breaks them will break again.
impl From<DatabaseError> for Failure {
    fn from(error: DatabaseError) -> Self {
        match error.0.as_database_error().map(|refusal| refusal.kind()) {
            Some(
                ErrorKind::UniqueViolation
                | ErrorKind::ForeignKeyViolation
                | ErrorKind::NotNullViolation
                | ErrorKind::CheckViolation,
            ) => Self::reject(error),
            _ => Self::retry(error),
        }
    }
}

/// Whether another connection has the file. SQLite gives the reason in the low byte of its code.
pub(super) fn is_busy(error: &sqlx::Error) -> bool {
    const SQLITE_BUSY: u32 = 5;
    let code = error.as_database_error().and_then(|refusal| refusal.code()?.parse::<u32>().ok());
    code.is_some_and(|code| code & 0xff == SQLITE_BUSY)
}

/// A database that cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another kind of database.
    #[error("[database] url: `{0}://` is not supported; allowed is sqlite://PATH")]
    Scheme(String),
    /// No URL.
    #[error("[database] url: not a URL; allowed is sqlite://PATH")]
    NoScheme,
    /// No file.
    #[error("[database] url: `sqlite://` names no file; allowed is sqlite://PATH")]
    NoPath,
    /// The file cannot be opened.
    #[error("[database] url: cannot open `{path}`")]
    Open {
        /// The file.
        path: String,
        /// Why.
        source: sqlx::Error,
    },
    /// The tables cannot be brought up to date.
    #[error("[database] url: cannot bring the tables of `{path}` up to date")]
    Migrate {
        /// The file.
        path: String,
        /// Why.
        source: MigrateError,
    },
}
