use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use super::*;
use crate::testing::check_idempotent;

#[tokio::test]
async fn a_handler_that_charges_whenever_it_runs_is_caught() {
    let caught = check_idempotent(
        PAYMENT,
        async || Bank::default(),
        |bank| Charge { bank: bank.clone() },
        async |bank| bank.charges(),
    );
    let text = caught.await.unwrap_err().to_string();
    let faults: Vec<&str> = text.lines().filter(|line| line.starts_with("  - ")).collect();
    for line in [
        "  - in the handler, at its 2nd wait, the process dies: 2",
        "  - after the handler has returned, the process dies: 2",
        "  - before the handler begins, the process stands still and another one takes over: 2",
        "  - after the handler has returned, the handler is cut off by its time limit: 2",
        "  - delivered again when the store had forgotten it: 2",
    ] {
        assert!(faults.contains(&line), "{line} is not in:\n{text}");
    }
    for harmless in
        ["its 1st wait, the process dies", "before the handler begins, the process dies", "committed"]
    {
        assert!(!text.contains(harmless), "{harmless} is in:\n{text}");
    }
    assert!(text.contains("ctx.idempotency_key()"), "{text}");
}

/// A bank that keeps what it was told under the key that it was given.
struct Keyed(Arc<Mutex<BTreeMap<String, i64>>>);

impl Handler for Keyed {
    const NAME: &'static str = "charge";
    type Event = Payment;

    fn dedupe_key(&self, event: &Payment, _: &Metadata) -> DedupeKey {
        DedupeKey::of(&event.payment_id)
    }

    async fn handle(&self, event: &Payment, ctx: &Context) -> Outcome {
        tokio::task::yield_now().await;
        self.0.lock().unwrap().insert(ctx.idempotency_key().to_owned(), event.cents);
        tokio::task::yield_now().await;
        ctx.publish("receipts", "p1", &event.cents)?;
        done()
    }
}

#[tokio::test]
async fn a_handler_that_hands_the_key_on_passes() {
    check_idempotent(
        PAYMENT,
        async || Arc::<Mutex<BTreeMap<_, _>>>::default(),
        |bank| service(Keyed(Arc::clone(bank))),
        async |bank| bank.lock().unwrap().clone(),
    )
    .await
    .unwrap();
}

fn service<H: Handler<Event = Payment>>(handler: H) -> Service {
    Service::new("payments").routes(Routes::new().on("payments.requested", handler)).publishes("receipts")
}

/// A database: charges, and the marks that are written with them.
#[derive(Default)]
struct Database {
    charges: Vec<i64>,
    marks: BTreeMap<String, String>,
}

/// Charges under a mark; wrong in as many ways as it is told to.
struct Inbox {
    database: Arc<Mutex<Database>>,
    looks_in_handle: bool,
    restores: bool,
}

impl Handler for Inbox {
    const NAME: &'static str = "charge";
    type Event = Payment;

    fn dedupe_key(&self, event: &Payment, _: &Metadata) -> DedupeKey {
        DedupeKey::of(&event.payment_id)
    }

    async fn handle(&self, event: &Payment, ctx: &Context) -> Outcome {
        tokio::task::yield_now().await;
        if self.looks_in_handle && self.was_applied(event, ctx).await? {
            return done();
        }
        ctx.publish("receipts", "p1", &event.cents)?;
        tokio::task::yield_now().await;
        let mut database = self.database.lock().unwrap();
        // The unique index of the mark.
        if database.marks.contains_key(ctx.idempotency_key()) && self.looks_in_handle {
            return Err(Failure::retry("somebody else was faster"));
        }
        database.charges.push(event.cents);
        database.marks.insert(ctx.idempotency_key().to_owned(), ctx.stored_publications()?);
        done()
    }

    async fn was_applied(&self, _: &Payment, ctx: &Context) -> Result<bool, Failure> {
        tokio::task::yield_now().await;
        let database = self.database.lock().unwrap();
        let Some(stored) = database.marks.get(ctx.idempotency_key()) else { return Ok(false) };
        if self.restores {
            ctx.restore_publications(stored)?;
        }
        Ok(true)
    }
}

async fn check_inbox(looks_in_handle: bool, restores: bool) -> Result<(), String> {
    check_idempotent(
        PAYMENT,
        async || Arc::<Mutex<Database>>::default(),
        move |database| {
            let database = Arc::clone(database);
            service(Inbox { database, looks_in_handle, restores })
        },
        async |database| database.lock().unwrap().charges.clone(),
    )
    .await
    .map_err(|error| error.to_string())
}

#[tokio::test]
async fn an_inbox_passes_and_each_half_of_it_is_caught() {
    check_inbox(true, true).await.unwrap();

    let forgets_events = check_inbox(true, false).await.unwrap_err();
    assert!(
        forgets_events.contains("after the handler has returned, the process dies: [100], published {}"),
        "{forgets_events}"
    );
    assert!(!forgets_events.contains("[100, 100]"), "{forgets_events}");

    let only_asked_after_a_crash = check_inbox(false, true).await.unwrap_err();
    assert!(
        only_asked_after_a_crash
            .contains("after the handler has returned, the handler is cut off by its time limit: [100, 100]"),
        "{only_asked_after_a_crash}"
    );
    assert!(!only_asked_after_a_crash.contains("the process dies"), "{only_asked_after_a_crash}");
}

/// Remembers in its own memory what it has done.
struct Remembers {
    bank: Bank,
    seen: Mutex<BTreeSet<String>>,
}

impl Handler for Remembers {
    const NAME: &'static str = "charge";
    type Event = Payment;

    fn dedupe_key(&self, event: &Payment, _: &Metadata) -> DedupeKey {
        DedupeKey::of(&event.payment_id)
    }

    async fn handle(&self, event: &Payment, ctx: &Context) -> Outcome {
        if self.seen.lock().unwrap().insert(ctx.idempotency_key().to_owned()) {
            self.bank.charge(ctx.idempotency_key(), event.cents);
        }
        done()
    }
}

#[tokio::test]
async fn what_a_handler_keeps_in_memory_dies_with_its_process() {
    let caught = check_idempotent(
        PAYMENT,
        async || Bank::default(),
        |bank| Remembers { bank: bank.clone(), seen: Mutex::default() },
        async |bank| bank.charges(),
    );
    let text = caught.await.unwrap_err().to_string();
    assert!(text.contains("after the handler has returned, the process dies: 2"), "{text}");
    assert!(!text.contains("time limit"), "{text}");
}

/// Notes that it begins, and then does not begin again.
struct Begins {
    begun: Arc<AtomicBool>,
    bank: Bank,
    rejects: bool,
}

impl Handler for Begins {
    const NAME: &'static str = "charge";
    type Event = Payment;

    fn dedupe_key(&self, event: &Payment, _: &Metadata) -> DedupeKey {
        DedupeKey::of(&event.payment_id)
    }

    async fn handle(&self, event: &Payment, ctx: &Context) -> Outcome {
        if self.begun.swap(true, Relaxed) {
            return if self.rejects { Err(Failure::reject("there is one already")) } else { done() };
        }
        tokio::task::yield_now().await;
        self.bank.charge(ctx.idempotency_key(), event.cents);
        done()
    }
}

#[tokio::test]
async fn an_effect_that_is_lost_and_one_that_is_dead_lettered_are_named() {
    let check = async |rejects| {
        let caught = check_idempotent(
            PAYMENT,
            async || (Arc::<AtomicBool>::default(), Bank::default()),
            move |(begun, bank)| Begins { begun: Arc::clone(begun), bank: bank.clone(), rejects },
            async |(_, bank)| bank.charges(),
        );
        caught.await.unwrap_err().to_string()
    };
    let lost = check(false).await;
    assert!(lost.contains("in the handler, at its 1st wait, the process dies: no effect at all"), "{lost}");
    let rejected = check(true).await;
    let line = "after the handler has returned, the process dies: dead-lettered, \"there is one already\"";
    assert!(rejected.contains(line), "{rejected}");
}

#[tokio::test]
async fn a_check_that_sees_nothing_is_no_check() {
    let blind = check_idempotent(
        PAYMENT,
        async || Bank::default(),
        |bank| Charge { bank: bank.clone() },
        async |_| (),
    );
    let text = blind.await.unwrap_err().to_string();
    assert!(text.contains("There is nothing to check") && text.contains("[Done]"), "{text}");
    let broken = check_idempotent("{", async || (), |()| Charge::default(), async |()| ()).await.unwrap_err();
    assert!(broken.to_string().contains("Undecodable"), "{broken}");
}
