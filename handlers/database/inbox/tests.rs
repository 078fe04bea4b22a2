use oncewise::testing::{context, published};

use super::*;
use crate::testing::{database, inbox, until};

/// Adds a cent to a wallet and publishes the attempt that did. False if it had been applied before.
async fn effect(inbox: &Inbox, ctx: &Context, attempt: u32) -> Result<bool, InboxError> {
    let Some(mut tx) = inbox.begin(ctx).await? else { return Ok(false) };
    tx.credit().await;
    ctx.publish("credits", "u1", &attempt)?;
    tx.commit(ctx).await?;
    Ok(true)
}

fn attempts_published(ctx: &Context) -> Vec<String> {
    published(ctx).into_iter().map(|(_, _, value)| String::from_utf8(value).unwrap()).collect()
}

#[tokio::test]
async fn a_key_takes_effect_once() {
    let (inbox, database, _home) = inbox().await;
    assert!(!inbox.was_applied(&context("k1")).await.unwrap());
    assert!(effect(&inbox, &context("k1"), 1).await.unwrap());
    assert!(!effect(&inbox, &context("k1"), 2).await.unwrap());
    assert!(effect(&inbox, &context("k2"), 1).await.unwrap());
    assert!(inbox.was_applied(&context("k1")).await.unwrap());
    assert_eq!(database.number("SELECT balance_cents FROM wallets").await, 2);
}

#[tokio::test]
async fn a_transaction_that_is_dropped_leaves_neither_effect_nor_mark() {
    let (inbox, database, _home) = inbox().await;
    let mut tx = inbox.begin(&context("k1")).await.unwrap().unwrap();
    tx.credit().await;
    drop(tx);
    assert!(!inbox.was_applied(&context("k1")).await.unwrap());
    assert_eq!(database.number("SELECT count(*) FROM wallets").await, 0);
    assert!(effect(&inbox, &context("k1"), 2).await.unwrap(), "free for the next attempt");
}

#[tokio::test]
async fn who_finds_the_mark_publishes_what_was_stored_with_it() {
    let (inbox, _, _home) = inbox().await;
    effect(&inbox, &context("k1"), 1).await.unwrap();

    let again = context("k1");
    again.publish("credits", "u1", &"in vain").unwrap();
    assert!(!effect(&inbox, &again, 2).await.unwrap());
    assert_eq!(attempts_published(&again), ["1"], "the first attempt's, and only these");

    let asked = context("k1");
    assert!(inbox.was_applied(&asked).await.unwrap());
    assert_eq!(asked.stored_publications().unwrap(), again.stored_publications().unwrap());
}

/// Another process prunes the mark between the moment in which it is in the way and that in which it is looked at.
#[tokio::test]
async fn a_mark_that_is_gone_before_it_is_read_was_none() {
    let (inbox, database, _home) = inbox().await;
    let once = if database.is_sqlite() {
        "CREATE TRIGGER once BEFORE INSERT ON inbox WHEN (SELECT count(*) FROM gone) > 0
         BEGIN DELETE FROM gone; SELECT RAISE(IGNORE); END"
    } else {
        "CREATE FUNCTION once() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             IF NOT EXISTS (SELECT FROM gone) THEN RETURN NEW; END IF;
             DELETE FROM gone;
             RETURN NULL;
         END $$;
         CREATE TRIGGER once BEFORE INSERT ON inbox FOR EACH ROW EXECUTE FUNCTION once()"
    };
    for sql in ["CREATE TABLE gone (n INTEGER)", "INSERT INTO gone VALUES (1)", once] {
        database.execute(sql).await.unwrap();
    }
    assert!(effect(&inbox, &context("k1"), 1).await.unwrap(), "nobody else applies it");
    assert_eq!(database.number("SELECT balance_cents FROM wallets").await, 1);
}

#[tokio::test]
async fn an_effect_without_events_stores_none_and_publishes_none() {
    let (inbox, database, _home) = inbox().await;
    let tx = inbox.begin(&context("k1")).await.unwrap().unwrap();
    tx.commit(&context("k1")).await.unwrap();
    assert_eq!(database.number("SELECT count(*) FROM inbox WHERE events IS NULL").await, 1);
    let again = context("k1");
    again.publish("credits", "u1", &"in vain").unwrap();
    assert!(inbox.begin(&again).await.unwrap().is_none());
    assert_eq!(attempts_published(&again), [""; 0]);
}

#[tokio::test]
async fn stored_events_that_cannot_be_read_reject() {
    let (inbox, database, _home) = inbox().await;
    effect(&inbox, &context("k1"), 1).await.unwrap();
    database.execute("UPDATE inbox SET events = 'garbage'").await.unwrap();
    for answer in [inbox.was_applied(&context("k1")).await, effect(&inbox, &context("k1"), 2).await] {
        assert!(matches!(Failure::from(answer.unwrap_err()), Failure::Reject { .. }));
    }
}

/// A worker that was presumed dead and its heir: the heir waits, whatever becomes of the first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_at_the_same_moment_one_takes_effect_and_the_other_waits() {
    for first_commits in [true, false] {
        let (database, home) = database().await;
        let [first, heir] = [Inbox::new(database.clone()), Inbox::new(home.open().await)];
        let ctx = context("k1");
        let mut tx = first.begin(&ctx).await.unwrap().unwrap();
        tx.credit().await;
        ctx.publish("credits", "u1", &1).unwrap();

        let waiting = tokio::spawn(async move {
            let ctx = context("k1");
            let applied = effect(&heir, &ctx, 2).await.unwrap();
            (applied, attempts_published(&ctx))
        });
        database.waits_for_a_lock().await;
        assert!(!waiting.is_finished());
        if first_commits {
            tx.commit(&ctx).await.unwrap()
        } else {
            drop(tx)
        }

        let published = if first_commits { "1" } else { "2" };
        assert_eq!(waiting.await.unwrap(), (!first_commits, vec![published.to_owned()]));
        assert_eq!(database.number("SELECT balance_cents FROM wallets").await, 1);
    }
}

#[tokio::test]
async fn only_what_is_old_is_pruned_in_as_many_steps_as_it_takes() {
    const DAY: Duration = Duration::from_secs(86_400);
    let (inbox, database, _home) = inbox().await;
    let (old, fresh) = if database.is_sqlite() {
        ("datetime('now', '-1441 minutes')", "datetime('now', '-1439 minutes')")
    } else {
        ("now() - interval '1441 minutes'", "now() - interval '1439 minutes'")
    };
    let rows = format!(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500)
         INSERT INTO inbox (idempotency_key, applied_at)
         SELECT 'old ' || i, {old} FROM n UNION ALL SELECT 'fresh', {fresh}"
    );
    database.execute(sqlx::AssertSqlSafe(rows)).await.unwrap();
    assert_eq!(inbox.prune(DAY).await.unwrap(), 2500);
    assert_eq!(inbox.prune(DAY).await.unwrap(), 0);
    assert!(inbox.was_applied(&context("fresh")).await.unwrap());
    assert_eq!(inbox.prune(Duration::MAX).await.unwrap(), 0, "a time before all time");
}

#[tokio::test]
async fn what_grows_old_is_pruned_by_and_by() {
    const MOMENT: Duration = Duration::from_millis(10);
    let (inbox, database, _home) = inbox().await;
    let upkeep = tokio::spawn(inbox.clone().prune_every(MOMENT, MOMENT, Duration::from_secs(86_400)));
    for _ in 0..2 {
        effect(&inbox, &context("k1"), 1).await.unwrap();
        database.execute("UPDATE inbox SET applied_at = '2026-01-01 00:00:00'").await.unwrap();
        until("the mark is pruned", async || !inbox.was_applied(&context("k1")).await.unwrap()).await;
    }
    upkeep.abort();
}
