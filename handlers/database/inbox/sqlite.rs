//! The inbox in SQLite. Who begins has the only writer's place, so two marks never meet.

use sqlx::SqliteConnection;

pub(super) async fn insert_mark(db: &mut SqliteConnection, key: &str) -> Result<bool, sqlx::Error> {
    let marked = sqlx::query(
        "INSERT INTO inbox (idempotency_key) VALUES ($1) ON CONFLICT (idempotency_key) DO NOTHING",
    )
    .bind(key)
    .execute(db)
    .await?;
    Ok(marked.rows_affected() == 1)
}

pub(super) async fn find_mark(
    db: &mut SqliteConnection,
    key: &str,
) -> Result<Option<Option<String>>, sqlx::Error> {
    sqlx::query_scalar("SELECT events FROM inbox WHERE idempotency_key = $1")
        .bind(key)
        .fetch_optional(db)
        .await
}

pub(super) async fn store_events(
    db: &mut SqliteConnection,
    key: &str,
    events: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE inbox SET events = $2 WHERE idempotency_key = $1")
        .bind(key)
        .bind(events)
        .execute(db)
        .await?;
    Ok(())
}

pub(super) async fn prune(db: &mut SqliteConnection, seconds: i32, limit: u32) -> Result<u64, sqlx::Error> {
    let pruned = sqlx::query(
        "DELETE FROM inbox WHERE idempotency_key IN (
             SELECT idempotency_key FROM inbox
             WHERE applied_at < datetime('now', '-' || $1 || ' seconds') ORDER BY applied_at LIMIT $2)",
    )
    .bind(seconds)
    .bind(limit)
    .execute(db)
    .await?;
    Ok(pruned.rows_affected())
}
