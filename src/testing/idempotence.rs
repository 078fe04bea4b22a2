//! Whether a handler takes effect once whatever goes wrong.

use std::{collections::BTreeSet, fmt::Debug, rc::Rc, time::Duration};

use super::{
    Fault, Harness, How, Moment, Subject, TestRecord,
    verdict::{Found, NotIdempotent, Violation},
};

/// Handlers that wait more often than this are watched at their first so many waits only.
const MOST_WAITS: usize = 100;
const OUTAGE: Duration = Duration::from_secs(60);

/// Checks that an event takes effect once whatever goes wrong: delivers it in a run where nothing does, then again and
/// again, each time into a new world with one fault, and compares what can be observed at the end.
///
/// `world` makes what the handler acts on, such as a fake of the bank, or a database; `start` makes the handler (or
/// its [`Service`](crate::Service)) as each new process does; `observe` says what came of it. What the handler
/// publishes is compared by itself, by the ids of the events.
///
/// The faults: the event delivered at two places at once, and again after the store has forgotten it; the process
/// dies, or stands still while another takes over, or the attempt is cut off, before the handler, at each of the first
/// 100 `.await`s where it waits, and after it; the process dies at every later step; the store and the broker go away.
///
/// ```
/// # use std::{collections::BTreeMap, sync::{Arc, Mutex}};
/// # use oncewise::{prelude::*, testing::check_idempotent};
/// #[derive(Clone, Default)]
/// struct Bank(Arc<Mutex<BTreeMap<String, i64>>>);
///
/// struct Charge(Bank);
///
/// impl Handler for Charge {
///     const NAME: &'static str = "charge";
///     type Event = i64;
///
///     fn dedupe_key(&self, cents: &i64, _: &Metadata) -> DedupeKey {
///         DedupeKey::of(cents)
///     }
///
///     async fn handle(&self, cents: &i64, ctx: &Context) -> Outcome {
///         self.0.0.lock().unwrap().insert(ctx.idempotency_key().to_owned(), *cents);
///         done()
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// check_idempotent(
///     "100",
///     async || Bank::default(),
///     |bank| Charge(bank.clone()),
///     async |bank| bank.0.lock().unwrap().values().sum::<i64>(),
/// )
/// .await
/// .unwrap();
/// # }
/// ```
///
/// # Errors
/// Names every fault under which what is observed differs from the run without one, and what helps. Also when that run
/// does not end well, or cannot be told from none at all.
///
/// # Panics
/// As [`Harness::new`] and [`Harness::deliver`].
pub async fn check_idempotent<W: 'static, S: Subject, T: PartialEq + Debug>(
    event: impl Into<TestRecord>,
    world: impl AsyncFn() -> W,
    start: impl Fn(&W) -> S + 'static,
    observe: impl AsyncFn(&W) -> T,
) -> Result<(), NotIdempotent> {
    let (event, start) = (event.into(), Rc::new(start));
    // What is observed before and after, and the harness in between.
    let run = async |plan: Plan| {
        let world = Rc::new(world().await);
        let (start, lent) = (Rc::clone(&start), Rc::clone(&world));
        let mut harness = Harness::restarting(move || start(&lent));
        let before = observe(&world).await;
        plan.play(&mut harness, &event).await;
        Run { before, after: observe(&world).await, harness }
    };

    let clean = run(Plan::Clean).await;
    let published = clean.published();
    let took_effect = clean.before != clean.after || !published.is_empty();
    if clean.harness.outcomes() != [How::Done] || !took_effect {
        return Err(NotIdempotent::unclear(&clean.harness, &clean.after));
    }
    let mut violations = Vec::new();
    let mut judge = |plan: Plan, run: Run<T>| {
        let found = if let Some(letter) = run.harness.letters().into_iter().next() {
            Found::DeadLettered(letter.error)
        } else if run.after == clean.after && run.published() == published {
            return;
        } else if run.after == run.before && run.published().is_empty() {
            Found::Nothing
        } else {
            Found::Otherwise { observed: format!("{:?}", run.after), published: run.published() }
        };
        violations.push(Violation { plan: plan.to_string(), found });
    };
    for plan in Plan::outside_of_the_handler() {
        judge(plan, run(plan).await);
    }
    for fault in [Fault::Crash, Fault::Stall, Fault::TimeOut] {
        for wait in 1..=MOST_WAITS {
            let plan = Plan::Fault(Moment::InHandler(wait), fault);
            let run = run(plan).await;
            if run.harness.is_waiting_for_faults() {
                break;
            }
            judge(plan, run);
        }
    }
    match violations.is_empty() {
        true => Ok(()),
        false => Err(NotIdempotent::under(violations, format!("{:?}", clean.after), published)),
    }
}

/// What happens to the event.
#[derive(Debug, Clone, Copy)]
pub(super) enum Plan {
    Clean,
    Twice,
    AfterLoss,
    Fault(Moment, Fault),
}

impl Plan {
    fn outside_of_the_handler() -> Vec<Self> {
        use Moment::{
            AfterClaim, AfterCompletion, AfterEffect, AfterPublish, BeforeCommit, BeforeCompletion,
            BeforeHandler, BeforePublish,
        };
        let everywhere = [
            AfterClaim,
            BeforeHandler,
            AfterEffect,
            BeforePublish,
            AfterPublish,
            BeforeCompletion,
            AfterCompletion,
            BeforeCommit,
        ];
        let mut plans = vec![Self::Twice, Self::AfterLoss];
        plans.extend(everywhere.map(|moment| Self::Fault(moment, Fault::Crash)));
        plans.extend([BeforeHandler, AfterEffect, AfterPublish].map(|at| Self::Fault(at, Fault::Stall)));
        plans.extend([
            Self::Fault(AfterEffect, Fault::TimeOut),
            Self::Fault(AfterEffect, Fault::StoreDown(OUTAGE)),
            Self::Fault(AfterEffect, Fault::StoreLost),
            Self::Fault(BeforePublish, Fault::BrokerDown(OUTAGE)),
        ]);
        plans
    }

    async fn play(self, harness: &mut Harness, event: &TestRecord) {
        match self {
            Self::Clean => harness.deliver(event.clone()).await,
            Self::Twice => harness.deliver_twice(event.clone()).await,
            Self::AfterLoss => {
                harness.deliver(event.clone()).await;
                harness.at(Moment::BeforeClaim, Fault::StoreLost).deliver(event.clone()).await;
            }
            Self::Fault(moment, fault) => harness.at(moment, fault).deliver(event.clone()).await,
        }
    }
}

/// One world, at its end.
struct Run<T> {
    before: T,
    after: T,
    harness: Harness,
}

impl<T> Run<T> {
    /// The ids of what was published: the next service takes two events of one id for one.
    fn published(&self) -> BTreeSet<String> {
        self.harness.published().into_iter().map(|event| event.id).collect()
    }
}
