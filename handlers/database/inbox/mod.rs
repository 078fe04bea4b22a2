//! The inbox: an effect, the mark that it has been applied, and the events that go out with it, in one transaction.
//!
//! Oncewise marks an event as done after its handler has returned. A worker that dies between the two leaves an
//! effect without a mark, and the next worker would apply it again. No store outside of the effect can close that
//! gap; the database that holds the effect can. Its table `inbox` has one row per effect, under the key that is the
//! same at every attempt, on every pod and in every replay ([`Context::idempotency_key`]):
//!
//! ```
//! # use handlers::{database::inbox::Inbox, event::OrderCreated};
//! use oncewise::prelude::*;
//!
//! # struct Settle { inbox: Inbox }
//! # async fn apply(_: &mut handlers::database::Transaction, _: &OrderCreated) -> Result<(), Failure> { Ok(()) }
//! # impl Settle {
//! async fn handle(&self, order: &OrderCreated, ctx: &Context) -> Outcome {
//!     let Some(mut tx) = self.inbox.begin(ctx).await? else { return done() };
//!     apply(&mut tx, order).await?;
//!     ctx.publish("orders.settled", &order.order_id, order)?;
//!     tx.commit(ctx).await?;
//!     done()
//! }
//!
//! async fn was_applied(&self, _: &OrderCreated, ctx: &Context) -> Result<bool, Failure> {
//!     Ok(self.inbox.was_applied(ctx).await?)
//! }
//! # }
//! ```
//!
//! - **Write nothing else than through `tx`, and publish before [`commit`](InboxTransaction::commit)**: what is
//!   published later is not stored, and a crash in between loses it.
//! - A call to somebody else's service is no part of a transaction. Make it before [`begin`](Inbox::begin), with the
//!   idempotency key, so that no lock is held while it lasts.
//! - Where the mark is found, the effect is not applied again, but **its events are published again**, with the same
//!   ids: the worker that applied it may have died before the broker had them.
//! - Two transactions of one event at the same moment (a worker that was presumed dead woke up): the second waits for
//!   the first, and then finds its mark, or takes its place if the first has failed.
//! - Rows have to outlive every repetition that Oncewise itself might not notice: keep them longer than every
//!   `dedupe.ttl`, and longer than the range of any replay. [`prune`](Inbox::prune) removes older ones, and
//!   [`prune_hourly`](Inbox::prune_hourly) does so as long as a service lives.
//!
//! To use it in a project of your own, copy this folder with the table's migration, and put your pool where
//! [`Database`] is.

mod postgres;
mod sql;
mod sqlite;
#[cfg(test)]
mod tests;
mod upkeep;

use std::{
    ops::{Deref, DerefMut},
    time::Duration,
};

use oncewise::{Context, Failure, PublishError};
use thiserror::Error;

use super::{Database, DatabaseError, Transaction};

/// The table `inbox` of a database. Clones share its connections.
#[derive(Debug, Clone)]
pub struct Inbox {
    database: Database,
}

impl Inbox {
    /// The inbox of this database.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    /// Begins the transaction of this event's effect, with the mark as its first row. `None` if the effect has been
    /// applied before; the events that went with it are then published as soon as the handler says done.
    ///
    /// # Errors
    /// The database cannot be written, or stored events cannot be read.
    pub async fn begin(&self, ctx: &Context) -> Result<Option<InboxTransaction>, InboxError> {
        let mut tx = self.database.begin().await?;
        let key = ctx.idempotency_key();
        loop {
            if sql::insert_mark(&mut tx, key).await? {
                return Ok(Some(InboxTransaction { tx, key: key.to_owned() }));
            }
            // Or it has been pruned since, and is in nobody's way any more.
            if restore(&mut tx, ctx).await? {
                return Ok(None);
            }
        }
    }

    /// Whether this event's effect has been applied; if so, the events that went with it are published. It is what a
    /// handler's `was_applied` answers.
    ///
    /// # Errors
    /// The database cannot be read, or stored events cannot be read.
    pub async fn was_applied(&self, ctx: &Context) -> Result<bool, InboxError> {
        restore(&mut self.database.begin().await?, ctx).await
    }

    /// Removes the marks of effects that were applied longer ago than this, by the database's clock, and answers how
    /// many they were. Any number of processes may do so at the same moment.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn prune(&self, older_than: Duration) -> Result<u64, DatabaseError> {
        let mut pruned = 0;
        loop {
            // In small transactions, so that handlers need not wait for long.
            let mut tx = self.database.begin().await?;
            let removed = sql::prune(&mut tx, older_than, PRUNE_BATCH).await?;
            tx.commit().await?;
            pruned += removed;
            if removed < u64::from(PRUNE_BATCH) {
                return Ok(pruned);
            }
        }
    }
}

/// So many rows are pruned in one transaction.
const PRUNE_BATCH: u32 = 1000;

/// Whether there is a mark; if so, the events stored with it take the place of those published so far.
async fn restore(tx: &mut Transaction, ctx: &Context) -> Result<bool, InboxError> {
    let Some(events) = sql::find_mark(tx, ctx.idempotency_key()).await? else { return Ok(false) };
    ctx.restore_publications(events.as_deref().unwrap_or(NO_EVENTS))?;
    Ok(true)
}

/// How a context writes that nothing was published: a list without elements.
const NO_EVENTS: &str = "[]";

/// The transaction of one effect, with its mark. It can do what a [`Transaction`] can; dropped without
/// [`commit`](Self::commit), it leaves no trace.
#[derive(Debug)]
pub struct InboxTransaction {
    tx: Transaction,
    key: String,
}

impl InboxTransaction {
    /// Makes the effect last, with its mark and with what was published to `ctx`.
    ///
    /// # Errors
    /// The database cannot be written. Where the connection broke meanwhile, it may be written all the same; the next
    /// attempt will know.
    pub async fn commit(mut self, ctx: &Context) -> Result<(), InboxError> {
        let events = ctx.stored_publications()?;
        if events != NO_EVENTS {
            sql::store_events(&mut self.tx, &self.key, &events).await?;
        }
        Ok(self.tx.commit().await?)
    }
}

impl Deref for InboxTransaction {
    type Target = Transaction;

    fn deref(&self) -> &Transaction {
        &self.tx
    }
}

impl DerefMut for InboxTransaction {
    fn deref_mut(&mut self) -> &mut Transaction {
        &mut self.tx
    }
}

/// An inbox that does not answer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InboxError {
    /// The database.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The events of the effect.
    #[error(transparent)]
    Events(#[from] PublishError),
}

impl From<InboxError> for Failure {
    fn from(error: InboxError) -> Self {
        match error {
            InboxError::Database(error) => error.into(),
            InboxError::Events(error) => error.into(),
        }
    }
}
