//! A worker for the tests: what its handler does is written in the event.
//!
//! Every effect is one line in the file `ONCEWISE_TEST_EFFECTS`, and every attempt one in
//! `ONCEWISE_TEST_ATTEMPTS`, so that a killed process leaves its evidence; what a replay runs is one more, under its
//! idempotency key, in `ONCEWISE_TEST_REPLAYED`. Services, groups and topics are named by
//! `ONCEWISE_TEST_SERVICES`, `name=topic` each, with commas between them; `name=topic=follow` only notes what comes, by
//! its source and id, and `types.rs` has what else may follow the topic. They may publish to the topics in
//! `ONCEWISE_TEST_PUBLISHES`. `ONCEWISE_TEST_INBOX` is a folder that stands in for the table of an inbox.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a broken test must be seen")]

use std::{
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

#[path = "../support/ledger.rs"]
#[allow(dead_code, unreachable_pub, reason = "tests read what is written here")]
mod ledger;
mod types;

use oncewise::{BoxError, prelude::*};
use serde::Deserialize;

use ledger::Effects;

/// What the handler is to do. It takes effect unless it fails, rejects, skips, panics or aborts.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Order {
    /// The dedupe key.
    id: String,
    /// Fails this many attempts, then goes on.
    fail: u32,
    /// Fails while this file is there: what it needs is away.
    away: Option<PathBuf>,
    /// Asks for this delay with each failure.
    retry_after_ms: Option<u64>,
    /// Panics in this many attempts, then goes on.
    panic: u32,
    /// Panics with these words.
    quote: Option<String>,
    /// Is rejected.
    reject: bool,
    /// Is skipped.
    skip: bool,
    /// Takes the whole process down.
    abort: bool,
    /// Waits this long, politely.
    sleep_ms: u64,
    /// Waits until this file is there, politely.
    door: Option<PathBuf>,
    /// Keeps its thread busy this long.
    block_ms: u64,
    /// Takes effect and fails all the same, in this many attempts.
    effect_then_fail: u32,
    /// What two events of one id must agree on.
    fingerprint: Option<String>,
    /// What `was_applied` answers.
    applied: bool,
    /// Events out, in order.
    publish: Vec<Out>,
    /// Keeps its mark and its events out in the inbox, as if in one transaction with the effect.
    inbox: bool,
}

/// An event out.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Out {
    topic: String,
    key: String,
    value: String,
    name: Option<String>,
}

impl Order {
    fn publish(&self, ctx: &Context) -> Result<(), Failure> {
        for Out { topic, key, value, name } in &self.publish {
            match name {
                None => ctx.publish(topic, key, value)?,
                Some(name) => ctx.send(Publication::json(topic, key, value)?.named(name))?,
            }
        }
        Ok(())
    }

    /// Where the inbox has its mark.
    fn mark(&self) -> PathBuf {
        PathBuf::from(std::env::var("ONCEWISE_TEST_INBOX").expect("a folder for the inbox")).join(&self.id)
    }

    /// Whether it is in the inbox; then what it published is published again.
    fn restore(&self, ctx: &Context) -> Result<bool, Failure> {
        let Ok(stored) = std::fs::read_to_string(self.mark()) else { return Ok(false) };
        ctx.restore_publications(&stored)?;
        Ok(true)
    }

    fn remember(&self, ctx: &Context) -> Result<(), Failure> {
        // A process that dies while it writes leaves no mark behind.
        let written = self.mark().with_extension("new");
        std::fs::write(&written, ctx.stored_publications()?).or_retry()?;
        std::fs::rename(written, self.mark()).or_retry()
    }
}

struct Obey;

impl Handler for Obey {
    const NAME: &'static str = "obey";
    type Event = Order;

    fn dedupe_key(&self, order: &Order, _: &Metadata) -> DedupeKey {
        DedupeKey::of(&order.id)
    }

    async fn handle(&self, order: &Order, ctx: &Context) -> Outcome {
        note("ONCEWISE_TEST_ATTEMPTS", &order.id, ctx);
        if ctx.is_replay() {
            note("ONCEWISE_TEST_REPLAYED", ctx.idempotency_key(), ctx);
        }
        if order.abort {
            std::process::abort();
        }
        assert!(ctx.attempt() > order.panic, "panic as ordered");
        if let Some(words) = &order.quote {
            panic!("{words}");
        }
        // A sleep of no time waits, too: without it the handler answers at once.
        if order.sleep_ms > 0 {
            tokio::time::sleep(Duration::from_millis(order.sleep_ms)).await;
        }
        while order.door.as_ref().is_some_and(|door| !door.exists()) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let until = Instant::now() + Duration::from_millis(order.block_ms);
        while Instant::now() < until {
            std::thread::yield_now();
        }
        if order.reject {
            order.publish(ctx)?;
            return Err(Failure::reject("rejected as ordered"));
        }
        if ctx.attempt() <= order.fail || order.away.as_ref().is_some_and(|file| file.exists()) {
            let cause = "failed as ordered";
            let after = order.retry_after_ms.map(Duration::from_millis);
            return Err(
                after.map_or_else(|| Failure::retry(cause), |after| Failure::retry_after(after, cause))
            );
        }
        if order.skip {
            order.publish(ctx)?;
            return skip("as ordered");
        }
        if order.inbox && order.restore(ctx)? {
            return done();
        }
        let transaction = order.inbox.then(oncewise::crash::transaction);
        note("ONCEWISE_TEST_EFFECTS", &order.id, ctx);
        order.publish(ctx)?;
        if order.inbox {
            order.remember(ctx)?;
        }
        drop(transaction);
        if ctx.attempt() <= order.effect_then_fail {
            return Err(Failure::retry("failed after the effect, as ordered"));
        }
        done()
    }

    async fn was_applied(&self, order: &Order, ctx: &Context) -> Result<bool, Failure> {
        Ok(order.applied || order.inbox && order.restore(ctx)?)
    }

    fn fingerprint(&self, order: &Order) -> Option<Fingerprint> {
        // As if a later version of the handler reckoned otherwise.
        let version = std::env::var("ONCEWISE_TEST_FINGERPRINT").unwrap_or_default();
        order.fingerprint.as_ref().map(|content| Fingerprint::of(format!("{version}{content}")))
    }
}

/// Takes whatever another service publishes.
struct Follow;

impl Handler for Follow {
    const NAME: &'static str = "follow";
    type Event = String;

    fn dedupe_key(&self, _: &String, meta: &Metadata) -> DedupeKey {
        DedupeKey::cloud_event(meta)
    }

    async fn handle(&self, event: &String, ctx: &Context) -> Outcome {
        note("ONCEWISE_TEST_EFFECTS", event, ctx);
        done()
    }
}

/// One line in the file that `variable` names.
fn note(variable: &str, id: &str, ctx: &Context) {
    let Ok(path) = std::env::var(variable) else { return };
    Effects::at(path).add(id, ctx.attempt(), ctx.fencing_token());
}

async fn services(_: ()) -> Result<Vec<Service>, BoxError> {
    let named = std::env::var("ONCEWISE_TEST_SERVICES")?;
    let service = |pair: &str| -> Result<Service, BoxError> {
        let (name, topic) = pair.split_once('=').ok_or("name=topic")?;
        let routes = match topic.split_once('=') {
            Some((topic, "follow")) => Routes::new().on(topic, Follow),
            Some((topic, kind)) => types::routes(topic, kind)?,
            None => Routes::new().on(topic, Obey),
        };
        let publishes = std::env::var("ONCEWISE_TEST_PUBLISHES").unwrap_or_default();
        let topics = publishes.split(',').filter(|topic| !topic.is_empty());
        Ok(topics.fold(Service::new(name).routes(routes), Service::publishes))
    };
    named.split(',').map(service).collect()
}

fn main() -> ExitCode {
    oncewise::App::new(services).main()
}
