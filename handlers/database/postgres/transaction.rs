//! A transaction that survives neither errors nor silence.

use std::{
    ops::{Deref, DerefMut},
    time::Duration,
};

use sqlx::{Executor, PgConnection, PgPool, Postgres, pool::PoolConnection};
use tokio::runtime::Handle;

use super::{ANSWER_TIMEOUT, within};

/// A connection on which the server has not rolled back after so long is given up.
const ROLLBACK_TIMEOUT: Duration = Duration::from_secs(5);

/// A transaction of PostgreSQL, in two things stricter than that of `sqlx`. A server that has vanished without a
/// word takes the connection with it; waiting for its goodbye would keep the connection's place in the pool until
/// the operating system gives up, a quarter of an hour later. And where a statement has failed, `COMMIT` is an error:
/// PostgreSQL itself rolls back and calls that a success.
#[derive(Debug)]
pub struct PostgresTransaction {
    /// Empty once it has ended.
    connection: Option<PoolConnection<Postgres>>,
}

impl PostgresTransaction {
    pub(in crate::database) async fn begin(pool: &PgPool) -> Result<Self, sqlx::Error> {
        let mut tx = Self { connection: Some(pool.acquire().await?) };
        within(ANSWER_TIMEOUT, tx.execute("BEGIN")).await?;
        Ok(tx)
    }

    pub(in crate::database) async fn commit(mut self) -> Result<(), sqlx::Error> {
        within(ANSWER_TIMEOUT, self.execute("SELECT 1; COMMIT")).await?;
        self.connection = None;
        Ok(())
    }
}

/// Rolls back.
impl Drop for PostgresTransaction {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(async move {
                if within(ROLLBACK_TIMEOUT, connection.execute("ROLLBACK")).await.is_err() {
                    drop(connection.detach());
                }
            })),
            Err(_) => drop(connection.detach()),
        }
    }
}

impl Deref for PostgresTransaction {
    type Target = PgConnection;

    #[expect(clippy::expect_used, reason = "only its end takes the connection")]
    fn deref(&self) -> &PgConnection {
        self.connection.as_deref().expect("a transaction that has not ended")
    }
}

impl DerefMut for PostgresTransaction {
    #[expect(clippy::expect_used, reason = "only its end takes the connection")]
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.connection.as_deref_mut().expect("a transaction that has not ended")
    }
}
