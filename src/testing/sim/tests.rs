//! Ten thousand schedules, what is broken on purpose, and the seeds that once found something.

use std::{collections::BTreeMap, thread};

use super::{Broken, check::Invariant, plan::Plan, play, search};

/// How many schedules are played, unless `ONCEWISE_SIM_SCHEDULES` says otherwise.
const SCHEDULES: u64 = 10_000;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is {text:?}, which is no number")))
}

/// The first seed below `end` in which something does not hold, with what is known of it. On all processors.
fn first(end: u64, broken: Option<Broken>) -> Option<(u64, String, Invariant)> {
    let threads = thread::available_parallelism().map_or(1, |threads| threads.get() as u64);
    let search_every = |shard: u64| {
        (shard..end).step_by(threads as usize).find_map(|seed| {
            let found = search(seed, broken)?;
            Some((seed, found.to_string(), found.violation.invariant))
        })
    };
    thread::scope(|scope| {
        let shards: Vec<_> = (0..threads).map(|shard| scope.spawn(move || search_every(shard))).collect();
        shards.into_iter().filter_map(|shard| shard.join().unwrap()).min_by_key(|(seed, ..)| *seed)
    })
}

#[test]
fn ten_thousand_schedules_lose_nothing_and_keep_the_bound() {
    let found = match number("ONCEWISE_SIM_SEED") {
        Some(seed) => search(seed, None).map(|found| found.to_string()),
        None => first(number("ONCEWISE_SIM_SCHEDULES").unwrap_or(SCHEDULES), None).map(|found| found.1),
    };
    if let Some(found) = found {
        panic!("{found}");
    }
}

#[test]
fn the_same_seed_is_the_same_schedule() {
    for seed in 0..50 {
        let [one, other] = [0; 2].map(|_| play(Plan::of(seed), None).history);
        assert!(one == other, "seed {seed}:\n{one}\n{other}");
    }
}

#[test]
fn what_is_broken_on_purpose_is_found() {
    use Broken::*;
    use Invariant::*;
    let mut missed = BTreeMap::new();
    for (broken, expected) in [
        (CommitsHighest, &[I1NothingLost][..]),
        (MarksBeforeWork, &[I1NothingLost]),
        (ReleasesWhateverIsThere, &[I3EffectsBounded, I5OneLease]),
        (SettlesOnAFault, &[I1NothingLost, I7KeyOrder]),
        (OwnerWithoutEpoch, &[I3EffectsBounded]),
        (TakesOverAtOnce, &[I5OneLease]),
        (LetterUnheard, &[I1NothingLost, I6LettersBounded]),
        (LetterWithoutKey, &[I8LetterWhole]),
        (OneLaneForEach, &[I7KeyOrder]),
        (NeverProbes, &[L1Settled]),
    ] {
        let found = first(2_000, Some(broken));
        let name = format!("{broken:?}");
        match found {
            Some((seed, _, invariant)) if expected.contains(&invariant) => {
                println!("{name}: seed {seed}, {invariant:?}")
            }
            found => _ = missed.insert(name, found),
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
}
