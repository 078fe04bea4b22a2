//! The marks in SQLite.

use sqlx::SqliteConnection;

use crate::notifications::confirmation::Confirmation;

pub(super) async fn sent_channels(
    db: &mut SqliteConnection,
    order_id: &str,
) -> Result<Vec<String>, sqlx::Error> {
    let query = sqlx::query_scalar("SELECT channel FROM notifications WHERE order_id = $1").bind(order_id);
    query.fetch_all(db).await
}

pub(super) async fn mark_sent(
    db: &mut SqliteConnection,
    message: &Confirmation<'_>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO notifications (order_id, channel, event_id, recipient, text) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (order_id, channel) DO NOTHING",
    )
    .bind(&message.order.order_id)
    .bind(message.channel.as_str())
    .bind(&message.order.event_id)
    .bind(message.recipient)
    .bind(message.to_string())
    .execute(db)
    .await?;
    Ok(())
}

pub(super) async fn add_doubt(
    db: &mut SqliteConnection,
    message: &Confirmation<'_>,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(
        "INSERT INTO doubts (order_id, channel, times) VALUES ($1, $2, 1)
         ON CONFLICT (order_id, channel) DO UPDATE SET times = doubts.times + 1 RETURNING times",
    )
    .bind(&message.order.order_id)
    .bind(message.channel.as_str())
    .fetch_one(db)
    .await
}
