//! The databases of these tests, as somebody reads them who is not the shop.

use sqlx::{
    AssertSqlSafe, Connection, Executor, FromRow, PgConnection, SqliteConnection,
    postgres::PgRow,
    sqlite::{SqliteConnectOptions, SqliteRow},
};

use crate::support::{service, unique};

/// The server of `tests/run`: `postgres://USER:PASSWORD@HOST:PORT/DATABASE`.
pub(crate) fn server() -> String {
    service("ONCEWISE_TEST_POSTGRES")
}

/// A new database on the server of `tests/run`.
pub(crate) async fn postgres() -> String {
    let name = unique("shop").replace('-', "_");
    let mut connection = PgConnection::connect(&server()).await.unwrap();
    connection.execute(AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.unwrap();
    format!("{}/{name}", server().rsplit_once('/').unwrap().0)
}

/// A connection that only reads.
pub(crate) enum Reader {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Reader {
    pub(crate) async fn connect(url: &str) -> Reader {
        match url.strip_prefix("sqlite://") {
            Some(file) => {
                let options = SqliteConnectOptions::new().filename(file).read_only(true);
                Reader::Sqlite(SqliteConnection::connect_with(&options).await.unwrap())
            }
            None => Reader::Postgres(PgConnection::connect(url).await.unwrap()),
        }
    }

    pub(crate) async fn rows<T>(&mut self, sql: &'static str) -> Vec<T>
    where
        T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        match self {
            Reader::Sqlite(db) => sqlx::query_as(sql).fetch_all(db).await,
            Reader::Postgres(db) => sqlx::query_as(sql).fetch_all(db).await,
        }
        .unwrap()
    }
}
