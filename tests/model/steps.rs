//! What may happen next.

use stateright::{Model, Property};

use crate::{
    protocol::{Claim, Entry, Owner, Protocol},
    state::{
        ENDS, Faults, Job, KEYS, LOST, NEVER_STUCK, NUMBER, OVER_THE_BOUND, Phase, State, TOKENS_GROW,
        TWO_LEASES,
    },
};

/// Two workers that follow a protocol, while up to so many things go wrong.
#[derive(Debug, Clone)]
pub(crate) struct Workers {
    pub(crate) protocol: Protocol,
    pub(crate) faults: u8,
}

/// What happens. Faults are those that count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    Ask(u8),
    /// The store has heard it, the worker has not heard the answer.
    AskUnheard(u8),
    Replace(Owner),
    Effect(Owner),
    Fail(Owner),
    FailAfterEffect(Owner),
    Letter(Owner),
    Complete(Owner),
    CompleteUnheard(Owner),
    /// The claim of what has not begun is given back, for its partition is gone.
    HandOver(Owner),
    Renew(Owner),
    Commit,
    LeaseOfTheDeadRunsOut(usize),
    Crash(u8),
    Rebalance,
    LeaseRunsOut(usize),
    StoreLost,
}

impl Model for Workers {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        vec![State::default()]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        let more = state.faults.all < self.faults;
        let faults = &state.faults;
        for offset in (state.committed..KEYS.len() as u8).filter(|offset| may_ask(state, *offset)) {
            let (_, answer) = claim(self, state, offset);
            if answer != Claim::Busy {
                steps.push(Step::Ask(offset));
            }
            if more && faults.lost_replies < 1 && matches!(answer, Claim::Granted(_)) {
                steps.push(Step::AskUnheard(offset));
            }
        }
        for job in &state.jobs {
            let Job { owner, phase, token, .. } = *job;
            match phase {
                Phase::HasRead => steps.push(Step::Replace(owner)),
                Phase::Claimed => {
                    steps.push(Step::Effect(owner));
                    if owner.1 < state.epoch {
                        steps.push(Step::HandOver(owner));
                    }
                    if more && faults.failures < 2 {
                        steps.extend([Step::Fail(owner), Step::FailAfterEffect(owner), Step::Letter(owner)]);
                    }
                }
                Phase::Worked | Phase::Lettered => {
                    steps.push(Step::Complete(owner));
                    if more && faults.lost_replies < 1 {
                        steps.push(Step::CompleteUnheard(owner));
                    }
                }
                Phase::Settled => {}
            }
            let renewed = state.store[job.key()].renew(owner, token);
            if job.is_open() && renewed != state.store[job.key()] && self.has_leases() {
                steps.push(Step::Renew(owner));
            }
        }
        if state.watermark() > state.committed {
            steps.push(Step::Commit);
        }
        for key in 0..NUMBER {
            if let Entry::Leased { token, has_run_out: false, .. } = state.store[key] {
                if state.holder(key, token).is_none() {
                    if self.protocol != Protocol::LeasesForEver {
                        steps.push(Step::LeaseOfTheDeadRunsOut(key));
                    }
                } else if more && faults.expiries < 1 {
                    steps.push(Step::LeaseRunsOut(key));
                }
            }
        }
        if !more || usize::from(state.committed) == KEYS.len() {
            return;
        }
        if faults.crashes < 2 {
            steps.extend([0, 1].map(Step::Crash));
        }
        if faults.rebalances < 2 {
            steps.push(Step::Rebalance);
        }
        if faults.losses < 1 && state.store != [Entry::Absent; NUMBER] {
            steps.push(Step::StoreLost);
        }
    }

    fn next_state(&self, before: &State, step: Step) -> Option<State> {
        let mut state = before.clone();
        let faults: &mut Faults = &mut state.faults;
        let is_fault = match step {
            Step::Crash(_) => bump(&mut faults.crashes),
            Step::Rebalance => bump(&mut faults.rebalances),
            Step::LeaseRunsOut(_) => bump(&mut faults.expiries),
            Step::StoreLost => bump(&mut faults.losses),
            Step::AskUnheard(_) | Step::CompleteUnheard(_) => bump(&mut faults.lost_replies),
            Step::Fail(_) | Step::FailAfterEffect(_) | Step::Letter(_) => bump(&mut faults.failures),
            _ => false,
        };
        faults.all += u8::from(is_fault);
        self.take(&mut state, step);
        state.jobs.sort_unstable();
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(LOST, |_, state: &State| state.nothing_is_lost()),
            Property::always(OVER_THE_BOUND, |_, state: &State| state.keeps_the_bound()),
            Property::always(TOKENS_GROW, |_, state: &State| !state.token_fell),
            Property::always(TWO_LEASES, |_, state: &State| state.has_one_lease()),
            Property::always(NEVER_STUCK, |model: &Self, state: &State| {
                let mut steps = Vec::new();
                model.actions(state, &mut steps);
                !steps.is_empty() || usize::from(state.committed) == KEYS.len()
            }),
            Property::sometimes(ENDS, |_, state: &State| usize::from(state.committed) == KEYS.len()),
        ]
    }
}

/// Records of one key one at a time, in order.
fn may_ask(state: &State, offset: u8) -> bool {
    let settled = |before: u8| state.job(before).is_some_and(|job| job.phase == Phase::Settled);
    let lane =
        (state.committed..offset).filter(|before| KEYS[usize::from(*before)] == KEYS[usize::from(offset)]);
    state.job(offset).is_none() && lane.into_iter().all(settled)
}

fn claim(model: &Workers, state: &State, offset: u8) -> (Entry, Claim) {
    let owner = (state.owner, state.epoch, offset);
    state.store[KEYS[usize::from(offset)]].claim(model.protocol, owner, state.faults.losses)
}

fn bump(count: &mut u8) -> bool {
    *count += 1;
    true
}

impl Workers {
    fn has_leases(&self) -> bool {
        !matches!(self.protocol, Protocol::MarkBefore | Protocol::MarkAfter)
    }

    fn take(&self, state: &mut State, step: Step) {
        match step {
            Step::Ask(offset) | Step::AskUnheard(offset) => {
                let owner = (state.owner, state.epoch, offset);
                let key = KEYS[usize::from(offset)];
                let (entry, answer) = claim(self, state, offset);
                state.store[key] = entry;
                let (phase, token) = match answer {
                    Claim::Granted(token) => (Phase::Claimed, token),
                    Claim::Read => (Phase::HasRead, 0),
                    Claim::Duplicate | Claim::Busy => (Phase::Settled, 0),
                };
                if let Claim::Granted(token) = answer {
                    state.granted(key, token);
                }
                if step == Step::Ask(offset) {
                    let is_live = self.has_leases() && phase == Phase::Claimed;
                    state.jobs.push(Job { owner, phase, token, is_live });
                }
            }
            Step::Replace(owner) => {
                let key = KEYS[usize::from(owner.2)];
                let (entry, token) = state.store[key].replace(owner, state.faults.losses);
                state.store[key] = entry;
                state.granted(key, token);
                state.change(owner, |job| *job = Job { phase: Phase::Claimed, token, is_live: true, ..*job });
            }
            Step::Effect(owner) => {
                state.effects[KEYS[usize::from(owner.2)]] += 1;
                state.change(owner, |job| job.phase = Phase::Worked);
            }
            Step::Letter(owner) => {
                state.letters[KEYS[usize::from(owner.2)]] += 1;
                state.change(owner, |job| job.phase = Phase::Lettered);
            }
            Step::Fail(owner) | Step::FailAfterEffect(owner) | Step::HandOver(owner) => {
                let key = KEYS[usize::from(owner.2)];
                if step == Step::FailAfterEffect(owner) {
                    state.effects[key] += 1;
                    state.explained[key] += 1;
                }
                let token = state.jobs.iter().find(|job| job.owner == owner).map_or(0, |job| job.token);
                state.store[key] = state.store[key].release(self.protocol, token);
                state.jobs.retain(|job| job.owner != owner);
            }
            Step::Complete(owner) | Step::CompleteUnheard(owner) => {
                let key = KEYS[usize::from(owner.2)];
                let token = state.jobs.iter().find(|job| job.owner == owner).map_or(0, |job| job.token);
                state.store[key] = state.store[key].complete(token);
                if step == Step::Complete(owner) {
                    state.change(owner, |job| (job.phase, job.token) = (Phase::Settled, 0));
                    state.forget_settled();
                }
            }
            Step::Renew(owner) => {
                let key = KEYS[usize::from(owner.2)];
                if let Some(job) = state.jobs.iter_mut().find(|job| job.owner == owner) {
                    state.store[key] = state.store[key].renew(owner, job.token);
                    job.is_live = true;
                }
            }
            Step::Commit => state.committed = state.watermark(),
            Step::LeaseRunsOut(key) | Step::LeaseOfTheDeadRunsOut(key) => {
                state.run_out(key, matches!(step, Step::LeaseRunsOut(_)))
            }
            Step::Crash(worker) => {
                for job in state.jobs.iter().filter(|job| job.owner.0 == worker && job.phase == Phase::Worked)
                {
                    // One that the store knows is done; whether it does nobody has heard.
                    if !matches!(state.store[job.key()], Entry::Ended { .. }) || !self.has_leases() {
                        state.explained[job.key()] += 1;
                    }
                }
                state.jobs.retain(|job| job.owner.0 != worker);
                if state.owner == worker {
                    state.assign();
                }
            }
            Step::Rebalance => state.assign(),
            Step::StoreLost => {
                for key in 0..NUMBER {
                    state.explained[key] += u8::from(state.store[key] != Entry::Absent);
                }
                state.store = Default::default();
                state.jobs.iter_mut().for_each(|job| job.is_live = false);
            }
        }
    }
}
