//! The inbox in PostgreSQL. A mark that another transaction has written and not committed makes this one wait.

use sqlx::PgConnection;

pub(super) async fn insert_mark(db: &mut PgConnection, key: &str) -> Result<bool, sqlx::Error> {
    let marked = sqlx::query(
        "INSERT INTO inbox (idempotency_key) VALUES ($1) ON CONFLICT (idempotency_key) DO NOTHING",
    )
    .bind(key)
    .execute(db)
    .await?;
    Ok(marked.rows_affected() == 1)
}

pub(super) async fn find_mark(
    db: &mut PgConnection,
    key: &str,
) -> Result<Option<Option<String>>, sqlx::Error> {
    sqlx::query_scalar("SELECT events FROM inbox WHERE idempotency_key = $1")
        .bind(key)
        .fetch_optional(db)
        .await
}

pub(super) async fn store_events(db: &mut PgConnection, key: &str, events: &str) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE inbox SET events = $2 WHERE idempotency_key = $1")
        .bind(key)
        .bind(events)
        .execute(db)
        .await?;
    Ok(())
}

/// Rows that another process is removing are left to it.
pub(super) async fn prune(db: &mut PgConnection, seconds: i32, limit: u32) -> Result<u64, sqlx::Error> {
    let pruned = sqlx::query(
        "DELETE FROM inbox WHERE idempotency_key IN (
             SELECT idempotency_key FROM inbox
             WHERE applied_at < now() - $1 * interval '1 second' ORDER BY applied_at LIMIT $2
             FOR UPDATE SKIP LOCKED)",
    )
    .bind(seconds)
    .bind(i64::from(limit))
    .execute(db)
    .await?;
    Ok(pruned.rows_affected())
}
