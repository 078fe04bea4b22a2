//! The database of the shop, SQLite or PostgreSQL, and the [`inbox`] that holds an effect together with its mark.
//!
//! What is said to a database stands in the `sql` folder of each service, in one file for either kind: they
//! differ in types, locks and clocks, and two short files that say what happens are easier to trust than one
//! that fits neither. A team with one kind of database keeps one of the files, and a pool where [`Database`] is.

mod error;
pub mod inbox;
mod postgres;
mod sqlite;
#[cfg(test)]
mod tests;

use sqlx::{PgPool, Postgres, Sqlite, SqlitePool};

pub use self::error::{DatabaseError, OpenError};

/// The shop's database. Clones share its connections.
#[derive(Debug, Clone)]
pub enum Database {
    /// A file beside the worker, with one writer at a time.
    Sqlite(SqlitePool),
    /// A server.
    Postgres(PgPool),
}

/// An open transaction; dropped without [`commit`](Self::commit), it leaves no trace.
#[derive(Debug)]
pub enum Transaction {
    /// Of SQLite.
    Sqlite(sqlx::Transaction<'static, Sqlite>),
    /// Of PostgreSQL.
    Postgres(sqlx::Transaction<'static, Postgres>),
}

impl Database {
    /// Opens `sqlite://PATH`, whose file is created where there is none, or `postgres://…`, which may have up
    /// to `max_connections`, and brings the tables up to date. Any number of processes may do so at the same
    /// moment.
    ///
    /// # Errors
    /// The URL names no database, the database cannot be reached or written, or a newer version of the shop
    /// has changed its tables. No error repeats the URL's user or password.
    pub async fn open(url: &str, max_connections: u32) -> Result<Self, OpenError> {
        match url.split_once("://") {
            Some(("sqlite", path)) => sqlite::open(path).await.map(Self::Sqlite),
            Some(("postgres" | "postgresql", _)) => {
                postgres::open(url, max_connections).await.map(Self::Postgres)
            }
            Some((scheme, _)) => Err(OpenError::Scheme(scheme.into())),
            None => Err(OpenError::NoScheme),
        }
    }

    /// Begins a transaction. Most effects want that of an [`inbox`] instead.
    ///
    /// # Errors
    /// The database cannot be reached, or another holds it for too long.
    pub async fn begin(&self) -> Result<Transaction, DatabaseError> {
        Ok(match self {
            Self::Sqlite(pool) => Transaction::Sqlite(sqlite::begin(pool).await?),
            Self::Postgres(pool) => Transaction::Postgres(postgres::answer(pool.begin()).await?),
        })
    }
}

impl Transaction {
    /// Makes what was written last.
    ///
    /// # Errors
    /// The database cannot be written. Where the connection broke meanwhile, it may be written all the same.
    pub async fn commit(self) -> Result<(), DatabaseError> {
        match self {
            Self::Sqlite(tx) => tx.commit().await?,
            Self::Postgres(tx) => postgres::answer(tx.commit()).await?,
        }
        Ok(())
    }
}
