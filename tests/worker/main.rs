//! A worker for the tests: what its handler does is written in the event.
//!
//! Every effect is one line in the file `ONCEWISE_TEST_EFFECTS`, and every attempt one in
//! `ONCEWISE_TEST_ATTEMPTS`, so that a killed process leaves its evidence. Services, groups and topics are named by
//! `ONCEWISE_TEST_SERVICES`, `name=topic` each, with commas between them; `types.rs` has what may follow the topic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a broken test must be seen")]

use std::{
    fs::OpenOptions,
    io::Write,
    process::ExitCode,
    time::{Duration, Instant},
};

mod types;

use oncewise::{BoxError, prelude::*};
use serde::Deserialize;

/// What the handler is to do. It takes effect unless it fails, rejects, skips, panics or aborts.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Order {
    /// The dedupe key.
    id: String,
    /// Fails this many attempts, then goes on.
    fail: u32,
    /// Asks for this delay with each failure.
    retry_after_ms: Option<u64>,
    /// Panics in this many attempts, then goes on.
    panic: u32,
    /// Is rejected.
    reject: bool,
    /// Is skipped.
    skip: bool,
    /// Takes the whole process down.
    abort: bool,
    /// Waits this long, politely.
    sleep_ms: u64,
    /// Keeps its thread busy this long.
    block_ms: u64,
    /// Takes effect and fails all the same, in this many attempts.
    effect_then_fail: u32,
    /// What two events of one id must agree on.
    fingerprint: Option<String>,
    /// What `was_applied` answers.
    applied: bool,
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
        if order.abort {
            std::process::abort();
        }
        assert!(ctx.attempt() > order.panic, "panic as ordered");
        tokio::time::sleep(Duration::from_millis(order.sleep_ms)).await;
        let until = Instant::now() + Duration::from_millis(order.block_ms);
        while Instant::now() < until {
            std::thread::yield_now();
        }
        if order.reject {
            return Err(Failure::reject("rejected as ordered"));
        }
        if ctx.attempt() <= order.fail {
            let cause = "failed as ordered";
            let after = order.retry_after_ms.map(Duration::from_millis);
            return Err(
                after.map_or_else(|| Failure::retry(cause), |after| Failure::retry_after(after, cause))
            );
        }
        if order.skip {
            return skip("as ordered");
        }
        note("ONCEWISE_TEST_EFFECTS", &order.id, ctx);
        if ctx.attempt() <= order.effect_then_fail {
            return Err(Failure::retry("failed after the effect, as ordered"));
        }
        done()
    }

    async fn was_applied(&self, order: &Order, _: &Context) -> Result<bool, Failure> {
        Ok(order.applied)
    }

    fn fingerprint(&self, order: &Order) -> Option<Fingerprint> {
        order.fingerprint.as_ref().map(Fingerprint::of)
    }
}

/// One line in the file that `variable` names: `id attempt token pid`.
fn note(variable: &str, id: &str, ctx: &Context) {
    let Ok(path) = std::env::var(variable) else { return };
    let line = format!("{id} {} {} {}\n", ctx.attempt(), ctx.fencing_token(), std::process::id());
    let mut file = OpenOptions::new().append(true).create(true).open(path).expect("a file for the evidence");
    file.write_all(line.as_bytes()).expect("the evidence is written");
}

async fn services(_: ()) -> Result<Vec<Service>, BoxError> {
    let named = std::env::var("ONCEWISE_TEST_SERVICES")?;
    let service = |pair: &str| -> Result<Service, BoxError> {
        let (name, topic) = pair.split_once('=').ok_or("name=topic")?;
        let routes = match topic.split_once(':') {
            Some((topic, kind)) => types::routes(topic, kind)?,
            None => Routes::new().on(topic, Obey),
        };
        Ok(Service::new(name).routes(routes))
    };
    named.split(',').map(service).collect()
}

fn main() -> ExitCode {
    oncewise::App::new(services).main()
}
