//! Schedules by the thousand: the pipeline of production in several simulated pods, over a simulated log, group and store,
//! in virtual time, with everything that can go wrong drawn from one seed. The same seed is the same schedule.
//!
//! `plan` says what is written and what goes wrong when; `pod` is the seam at which a pod pauses, stands still or dies;
//! `member` is what the polling thread does otherwise; `store`, `producer` and `handler` are what the pipeline
//! reaches; `check` looks at every happening. After a schedule all that was written is settled and committed.

mod check;
mod dice;
mod group;
mod handler;
mod history;
mod member;
mod plan;
mod pod;
mod producer;
mod store;
mod tests;
mod world;

use std::{fmt, sync::Arc, time::Duration};

use tokio::{runtime::Builder, time};

use self::{
    check::Violation,
    history::{History, What},
    plan::{Fault, LEASE, Plan, Planned},
    pod::Seam,
    world::World,
};

/// After the last fault everything has to be settled within this time: leases, sessions and back-offs run out, what hangs
/// is cut off, and what ends the process has done so as often as it may.
const PATIENCE: Duration = Duration::from_secs(180);

/// What is broken on purpose, to see that it is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Broken {
    /// Commits what was read, not what is settled.
    CommitsHighest,
    /// An event is marked as done when it is claimed.
    MarksBeforeWork,
    /// A claim that is given back is deleted although somebody else holds it by now.
    ReleasesWhateverIsThere,
    /// A store that does not answer has said that the event is done.
    SettlesOnAFault,
    /// An owner is a record, not a delivery of it.
    OwnerWithoutEpoch,
    /// A claim is granted although another lease runs.
    TakesOverAtOnce,
    /// A letter counts as written when it was sent.
    LetterUnheard,
    LetterWithoutKey,
    /// Records of one key run side by side.
    OneLaneForEach,
    /// A breaker that is open asks nobody again.
    NeverProbes,
}

/// How a schedule went.
struct Run {
    history: History,
    violation: Option<Violation>,
}

/// Plays a schedule.
fn play(plan: Plan, broken: Option<Broken>) -> Run {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
    dice::seed_jitter(plan.seed);
    runtime.expect("a runtime without I/O").block_on(async {
        let world = World::new(plan, broken);
        direct(&world).await;
        let mut things = world.things();
        things.checker.end();
        Run { history: std::mem::take(&mut things.history), violation: things.checker.violation.clone() }
    })
}

enum Cue {
    Write(Planned),
    Strike(Fault),
}

/// From the first pod to the last commit.
async fn direct(world: &Arc<World>) {
    (0..world.plan.pods).for_each(|_| Seam::start(world));
    let writes = world.plan.records.iter().map(|record| (record.at, Cue::Write(*record)));
    let strikes = world.plan.faults.iter().map(|(at, fault)| (*at, Cue::Strike(*fault)));
    let mut cues: Vec<(Duration, Cue)> = writes.chain(strikes).collect();
    cues.sort_by_key(|(at, _)| *at);
    for (at, cue) in cues {
        time::sleep_until(world.at(at)).await;
        match cue {
            Cue::Write(record) => world.write(record),
            Cue::Strike(fault) => world.strike(fault),
        }
    }
    time::sleep_until(world.at(world.plan.calm)).await;
    world.happen(What::Calm);
    world.things().is_calm = true;
    let settled = async {
        while !is_settled(world) {
            world.news.notified().await;
        }
    };
    // Whether everything was settled in time is the checker's to say.
    drop(time::timeout(PATIENCE, settled).await);
    // What still runs elsewhere may take effect, too.
    time::sleep(LEASE * 3).await;
}

fn is_settled(world: &World) -> bool {
    let things = world.things();
    let ends = things.log.iter().map(|log| i64::try_from(log.len()).unwrap_or(i64::MAX));
    things.checker.violation.is_some() || ends.eq(things.committed.iter().copied())
}

/// A schedule in which something did not hold, as small as it could be made.
struct Found {
    plan: Plan,
    violation: Violation,
    history: History,
}

/// Plays the schedule of a seed, and should something not hold, those with less in them.
fn search(seed: u64, broken: Option<Broken>) -> Option<Found> {
    let mut plan = Plan::of(seed);
    let mut run = play(plan.clone(), broken);
    let invariant = run.violation.as_ref()?.invariant;
    let (mut faults, mut records) = (plan.faults.len(), plan.records.len());
    while faults + records > 0 {
        let mut less = plan.clone();
        if faults > 0 {
            faults -= 1;
            less.faults.remove(faults);
        } else {
            records -= 1;
            less.records.remove(records);
        }
        let again = play(less.clone(), broken);
        if again.violation.as_ref().is_some_and(|violation| violation.invariant == invariant) {
            (plan, run) = (less, again);
        }
    }
    let Run { history, violation: Some(violation) } = run else { return None };
    Some(Found { plan, violation, history })
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Plan { seed, records, faults, .. } = &self.plan;
        writeln!(f, "seed {seed}: {}", self.violation)?;
        writeln!(f, "ONCEWISE_SIM_SEED={seed} cargo test --lib sim repeats it; this much of it is enough:")?;
        records.iter().try_for_each(|record| writeln!(f, "  {record:?}"))?;
        faults.iter().try_for_each(|fault| writeln!(f, "  {fault:?}"))?;
        write!(f, "What concerns it:\n{}", self.history.about(&self.violation))
    }
}
