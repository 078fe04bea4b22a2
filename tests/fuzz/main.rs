//! Every decoder answers whatever it is given: the seeds in `fuzz/corpus`, and what comes of them by chance.
//!
//! As one test among others each target gets half a second (`ONCEWISE_FUZZ_SECONDS`, `ONCEWISE_FUZZ_TARGET`); the seed of
//! the chance is printed when something is found, and so is what was found; `ONCEWISE_FUZZ_SEED` repeats it.
//! `fuzz/run` gives the same targets and seeds to a fuzzer that is guided by what its inputs reach.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod mutation;

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use oncewise::fuzzing::{TARGETS, Target};
use rand::{SeedableRng, rngs::StdRng};

use mutation::mutated;

/// Longer inputs find nothing new and take longer.
const LONGEST: usize = 16 << 10;

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target)
}

/// The seeds of a target, in the order of their names.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let files = fs::read_dir(corpus(target)).unwrap_or_else(|error| panic!("no seeds of {target}: {error}"));
    let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

fn variable<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// Runs one input; what was found is kept where it does not get lost.
fn run(name: &str, target: Target, input: &[u8], seed: u64) {
    if catch_unwind(AssertUnwindSafe(|| target(input))).is_err() {
        let kept = std::env::temp_dir().join(format!("oncewise-fuzz-{name}-{seed:016x}"));
        fs::write(&kept, input).unwrap();
        let shown = String::from_utf8_lossy(&input[..input.len().min(500)]).into_owned();
        panic!("{name} fails on {}, ONCEWISE_FUZZ_SEED={seed}: {shown:?}", kept.display());
    }
}

#[test]
fn every_decoder_answers_every_seed_and_what_comes_of_it() {
    let seconds = variable("ONCEWISE_FUZZ_SECONDS").unwrap_or(0.5_f64);
    let wanted: Option<String> = variable("ONCEWISE_FUZZ_TARGET");
    let seed = variable("ONCEWISE_FUZZ_SEED").unwrap_or_else(rand::random);
    let mut ran = 0;
    for (name, target) in TARGETS {
        if wanted.as_deref().is_some_and(|wanted| wanted != name) {
            continue;
        }
        let mut pool = seeds(name);
        pool.iter().for_each(|input| run(name, target, input, seed));
        let mut chance = StdRng::seed_from_u64(seed);
        let (until, mut inputs) = (Instant::now() + Duration::from_secs_f64(seconds), 0_u64);
        while Instant::now() < until {
            let input = mutated(&pool, LONGEST, &mut chance);
            run(name, target, &input, seed);
            inputs += 1;
            // Now and then a step further away from the seeds.
            if inputs % 64 == 0 && pool.len() < 4096 {
                pool.push(input);
            }
        }
        println!("{name}: {} seeds, {inputs} inputs", pool.len());
        ran += 1;
    }
    assert!(ran > 0, "there is no target {wanted:?}");
}

/// Every folder of seeds has its target, too.
#[test]
fn no_seed_is_without_a_target() {
    for folder in fs::read_dir(corpus("")).unwrap() {
        let name = folder.unwrap().file_name().into_string().unwrap();
        assert!(TARGETS.iter().any(|(target, _)| *target == name), "{name}");
    }
}

/// And every target a program by which cargo-fuzz runs it.
#[test]
fn no_target_is_without_a_program_that_is_guided() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    for (name, _) in TARGETS {
        let program = fs::read_to_string(folder.join("targets").join(format!("{name}.rs"))).unwrap();
        assert!(program.contains(&format!("run({name:?}, bytes)")), "{name}");
        assert!(manifest.contains(&format!("name = {name:?}\npath = \"targets/{name}.rs\"")), "{name}");
    }
    assert_eq!(fs::read_dir(folder.join("targets")).unwrap().count(), TARGETS.len());
}

/// A target that fails is noticed, and what it failed on is kept.
#[test]
fn what_is_found_is_kept() {
    let failing: Target = |bytes| assert!(bytes.len() < 3, "three bytes");
    run("kept", failing, b"ok", 1);
    assert!(catch_unwind(|| run("kept", failing, b"four", 1)).is_err());
    let kept = std::env::temp_dir().join("oncewise-fuzz-kept-0000000000000001");
    assert_eq!(fs::read(&kept).unwrap(), b"four");
    fs::remove_file(kept).unwrap();
}
