//! Before an event is given up, its handler is asked whether it took effect: by a handler whose effect is a line in a
//! ledger, with the events out beside it, and whose answers to every attempt are written down beforehand.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use super::*;
use crate::testing::{Disposition, Fault, Harness, How, Moment};

#[derive(Debug, Clone, Default)]
struct Ledger(Arc<Mutex<Lines>>);

#[derive(Debug, Default)]
struct Lines {
    /// What was stored with the effect.
    stored: Option<String>,
    effects: usize,
    /// What the next attempts do; without one they take effect and say so.
    script: VecDeque<Step>,
    /// How often it cannot say whether the effect is there.
    silent: usize,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Reject,
    Retry,
    TakeEffectAndRetry,
}

impl Ledger {
    fn of(script: &[Step], silent: usize) -> Self {
        let script = script.iter().copied().collect();
        Self(Arc::new(Mutex::new(Lines { script, silent, ..Lines::default() })))
    }

    fn effects(&self) -> usize {
        self.0.lock().unwrap().effects
    }
}

impl Handler for Ledger {
    const NAME: &'static str = "ledger";
    type Event = Payment;

    fn dedupe_key(&self, event: &Payment, _: &Metadata) -> DedupeKey {
        DedupeKey::of(&event.payment_id)
    }

    async fn handle(&self, event: &Payment, ctx: &Context) -> Outcome {
        let step = self.0.lock().unwrap().script.pop_front();
        match step {
            Some(Step::Reject) => return Err(Failure::reject("refused")),
            Some(Step::Retry) => return Err(Failure::retry("busy")),
            Some(Step::TakeEffectAndRetry) | None => {}
        }
        ctx.publish("settled", &event.payment_id, &event.cents)?;
        {
            let mut lines = self.0.lock().unwrap();
            lines.effects += 1;
            lines.stored = Some(ctx.stored_publications()?);
        }
        // Here an attempt may be cut off.
        tokio::task::yield_now().await;
        if step.is_some() { Err(Failure::retry("the reply to the commit was lost")) } else { done() }
    }

    async fn was_applied(&self, _: &Payment, ctx: &Context) -> Result<bool, Failure> {
        let mut lines = self.0.lock().unwrap();
        if lines.silent > 0 {
            lines.silent -= 1;
            return Err(Failure::retry("the database is away"));
        }
        let Some(stored) = &lines.stored else { return Ok(false) };
        ctx.restore_publications(stored)?;
        Ok(true)
    }
}

fn harness(ledger: &Ledger, attempts: u32) -> Harness {
    let service =
        Service::new("books").routes(Routes::new().on("payments", ledger.clone())).publishes("settled");
    Harness::new(service).configure(|settings| settings.retry.max_attempts = Some(attempts))
}

/// One effect, and its event out; nothing dead.
fn took_effect(harness: &Harness, ledger: &Ledger) {
    let ids: Vec<_> = harness.published().into_iter().map(|event| event.id).collect();
    assert_eq!((ledger.effects(), ids), (1, vec!["ledger:p1:0".to_owned()]));
    assert_eq!((harness.outcomes(), harness.letters().len()), (vec![How::Done], 0));
}

#[tokio::test]
async fn an_attempt_that_was_cut_off_after_its_effect_is_no_dead_letter() {
    let ledger = Ledger::default();
    let mut harness = harness(&ledger, 1);
    harness.at(Moment::InHandler(1), Fault::TimeOut).deliver(PAYMENT).await;
    took_effect(&harness, &ledger);
}

#[tokio::test]
async fn a_refusal_after_an_effect_nobody_heard_of_is_no_dead_letter() {
    for second in [Step::Reject, Step::Retry] {
        let ledger = Ledger::of(&[Step::TakeEffectAndRetry, second], 0);
        let mut harness = harness(&ledger, 2);
        harness.deliver(PAYMENT).await;
        took_effect(&harness, &ledger);
    }
}

#[tokio::test]
async fn a_database_that_is_away_while_it_is_asked_is_asked_again() {
    let ledger = Ledger::of(&[], 3);
    let mut harness = harness(&ledger, 1);
    harness.crash_at(Moment::AfterEffect).deliver(PAYMENT).await;
    took_effect(&harness, &ledger);
}

#[tokio::test]
async fn where_nobody_can_say_the_letter_says_so() {
    let ledger = Ledger::of(&[Step::TakeEffectAndRetry], usize::MAX);
    let mut harness = harness(&ledger, 1);
    harness.deliver(PAYMENT).await;
    let letters = harness.letters();
    assert_eq!((letters.len(), letters[0].disposition, letters[0].attempts), (1, Disposition::Exhausted, 1));
    assert_eq!(
        letters[0].error,
        "the reply to the commit was lost; whether it took effect is not known: the database is away"
    );
    assert_eq!(harness.published().len(), 0);
}

#[tokio::test]
async fn a_first_refusal_is_believed() {
    let ledger = Ledger::of(&[Step::Reject], usize::MAX);
    let mut harness = harness(&ledger, 3);
    harness.deliver(PAYMENT).await;
    assert_eq!((harness.letters()[0].error.as_str(), harness.letters()[0].attempts), ("refused", 1));
}
