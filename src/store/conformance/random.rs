//! Plays a random sequence against a store and the model, and looks for the shortest one that still differs.

use std::collections::HashMap;
use std::time::Duration;

use super::bench::{Bench, HOUR, Wrong, only, same};
use super::model::Key;
use super::script::{Holder, OWNERS, Step, script};
use super::{TestStore, Violation};
use crate::store::{Forget, Held, Inspected, Stamp};

/// # Errors
/// The shortest sequence found that differs, with the first difference.
pub(super) async fn run(store: &dyn TestStore, seed: u64) -> Result<(), Violation> {
    let mut steps = script(seed);
    let Err(mut wrong) = play(store, &steps).await else { return Ok(()) };
    let mut at = 0;
    while at < steps.len() {
        let mut shorter = steps.clone();
        shorter.remove(at);
        match play(store, &shorter).await {
            Err(still) => (steps, wrong) = (shorter, still),
            Ok(()) => at += 1,
        }
    }
    Err(Violation { case: format!("seed {seed}"), what: format!("{} after {steps:#?}", wrong.0) })
}

async fn play(store: &dyn TestStore, steps: &[Step]) -> Result<(), Wrong> {
    let mut game =
        Game { bench: Bench::new(store), keys: HashMap::new(), tokens: HashMap::new(), seen: HashMap::new() };
    let mut last = None;
    for step in steps {
        let step = match step {
            Step::Repeat => last,
            other => Some(other),
        };
        let Some(step) = step else { continue };
        game.play(step).await?;
        last = Some(step);
    }
    Ok(())
}

struct Game<'a> {
    bench: Bench<'a>,
    keys: HashMap<usize, Key>,
    /// With the hops that they were granted for.
    tokens: HashMap<usize, Vec<(u64, u32)>>,
    /// How a key was last inspected, unless it has been lost since.
    seen: HashMap<usize, (Stamp, Key)>,
}

impl Game<'_> {
    async fn play(&mut self, step: &Step) -> Result<(), Wrong> {
        let store = self.bench.store;
        let short = store.keeps_short();
        match step {
            Step::Claim(items) => {
                let requests: Vec<_> = items
                    .iter()
                    .map(|item| {
                        let mut request = self.bench.request(item.key, item.owner);
                        request.max_deliveries = item.max_deliveries;
                        request.fingerprint = item.fingerprint;
                        request.hop = item.hop;
                        request
                    })
                    .collect();
                let answers = store.claim(&requests).await?;
                same(answers.len(), items.len())?;
                for (item, answer) in items.iter().zip(answers) {
                    if let Some(token) = self.key(item.key).claim(item, answer)? {
                        self.tokens.entry(item.key).or_default().push((token, item.hop));
                    }
                }
            }
            Step::Renew(items) => {
                let held: Vec<_> = items.iter().map(|item| self.held(item.holder)).collect();
                let renewals: Vec<_> = items
                    .iter()
                    .zip(&held)
                    .map(|(item, held)| {
                        let mut renewal = self.bench.renewal(held.clone());
                        renewal.attempts = item.attempts;
                        renewal.first_failure_ms = item.first_failure_ms;
                        renewal.run = item.run;
                        renewal.fingerprint = item.fingerprint;
                        renewal
                    })
                    .collect();
                let answers = store.renew(&renewals).await?;
                same(answers.len(), items.len())?;
                for ((item, held), answer) in items.iter().zip(held).zip(answers) {
                    self.key(item.holder.key).renew(item, &held, answer)?;
                }
            }
            Step::Complete(items) => {
                let held: Vec<_> = items.iter().map(|item| self.held(item.holder)).collect();
                let completions: Vec<_> = items
                    .iter()
                    .zip(&held)
                    .map(|(item, held)| {
                        let mut completion = self.bench.completion(held.clone(), item.end);
                        completion.attempts = item.attempts;
                        completion.first_failure_ms = item.first_failure_ms;
                        completion.fingerprint = item.fingerprint;
                        completion
                    })
                    .collect();
                let answers = store.complete(&completions).await?;
                same(answers.len(), items.len())?;
                for ((item, held), answer) in items.iter().zip(held).zip(answers) {
                    self.key(item.holder.key).complete(item, &held, answer, short)?;
                }
            }
            Step::Release(items) => {
                let held: Vec<_> = items.iter().map(|item| self.held(item.holder)).collect();
                let releases: Vec<_> = items
                    .iter()
                    .zip(&held)
                    .map(|(item, held)| {
                        let delay = if item.delayed { HOUR } else { Duration::ZERO };
                        let mut release = self.bench.release_of(held.clone(), delay);
                        release.attempts = item.attempts;
                        release.first_failure_ms = item.first_failure_ms;
                        release.in_doubt = item.in_doubt;
                        release
                    })
                    .collect();
                let answers = store.release(&releases).await?;
                same(answers.len(), items.len())?;
                for ((item, held), answer) in items.iter().zip(held).zip(answers) {
                    self.key(item.holder.key).release(item, held.token, answer)?;
                }
            }
            Step::Expire(key) => {
                store.expire_lease(&self.bench.key(*key)).await?;
                self.key(*key).expire();
            }
            Step::Lose(key) => {
                store.lose(&self.bench.key(*key)).await?;
                self.key(*key).lose();
                self.seen.remove(key);
            }
            Step::Corrupt(key) => {
                store.corrupt(&self.bench.key(*key)).await?;
                self.key(*key).corrupt();
            }
            Step::Inspect(numbers) => {
                let keys: Vec<_> = numbers.iter().map(|number| self.bench.key(*number)).collect();
                let answers = store.inspect(&keys).await?;
                same(answers.len(), keys.len())?;
                for (number, answer) in numbers.iter().zip(answers) {
                    let owners: Vec<_> = (0..OWNERS).map(|owner| self.bench.owner(owner)).collect();
                    let facts = self.key(*number).clone();
                    facts.inspect(&owners, &answer, self.bench.longest(), short)?;
                    if let Inspected::Known(known) = answer {
                        self.seen.insert(*number, (known.stamp, facts));
                    }
                }
            }
            Step::Forget(number) => {
                let Some((stamp, facts)) = self.seen.get(number).cloned() else { return Ok(()) };
                let request = Forget { key: self.bench.key(*number), stamp };
                let answer = only(store.forget(&[request]).await?)?;
                self.key(*number).forget(&facts, answer, short)?;
            }
            Step::Repeat => {}
        }
        Ok(())
    }

    fn key(&mut self, number: usize) -> &mut Key {
        self.keys.entry(number).or_default()
    }

    fn held(&self, holder: Holder) -> Held {
        let granted = self.tokens.get(&holder.key).map_or(&[][..], Vec::as_slice);
        let (token, hop) = granted.iter().rev().nth(holder.token).copied().unwrap_or((1, 0));
        Held { hop, ..self.bench.held(holder.key, holder.owner, token) }
    }
}
