//! Load for a long time, with poison and faults in it, and memory watched.

use std::time::{Duration, Instant};

use crate::{
    case::{Case, PATIENCE, events, now},
    checker::inputs::Inflicted,
    support::{process::Worker, wait::until},
};

/// Events that every second brings.
const RATE: usize = 100;
/// One in so many is rejected.
const POISON: usize = 20;

/// What a process has in memory, in kB.
fn resident(pod: &Worker) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", pod.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// For `ONCEWISE_SOAK_MINUTES`, or two.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_56_poison_among_the_records_keeps_the_pace_and_the_memory() {
    let minutes = std::env::var("ONCEWISE_SOAK_MINUTES").map_or(2, |text| text.parse().unwrap());
    let length = Duration::from_secs(60 * minutes);
    let mut case = Case::new(4).await.with("WORKER__CONCURRENCY", "16");
    let mut steady = case.joined().await;
    let mut other = case.joined().await;
    let (began, mut clock) = (Instant::now(), tokio::time::interval(Duration::from_secs(1)));
    let (mut seconds, mut memory) = (0, Vec::new());
    while began.elapsed() < length {
        clock.tick().await;
        seconds += 1;
        let first = case.sent();
        let all = events("event", first..first + RATE, 500, r#","sleep_ms":2"#);
        let poisoned = all.into_iter().enumerate().map(|(at, (id, key, order))| {
            (id, key, if at % POISON == 0 { format!(r#"{order},"reject":true"#) } else { order })
        });
        case.send(poisoned).await;
        if seconds % 30 == 0 {
            memory.push(resident(&steady));
            println!("{seconds} s: {} kB, {} events", resident(&steady), case.sent());
        }
        if seconds % 60 == 45 {
            case.kill(&mut other);
            other = case.start();
        }
        if seconds % 60 == 15 {
            let at = now();
            steady.freeze();
            let before = case.pods.effects().all().len();
            until("the rest to go on", PATIENCE, async || {
                let effects = case.pods.effects().all().len();
                if effects > before { Ok(()) } else { Err(effects) }
            })
            .await;
            steady.thaw();
            case.inflicted(Inflicted::Lease, at, Some(steady.pid()));
        }
    }
    case.holds().await;
    assert!(steady.ended().is_none(), "{}", steady.output());
    // The first half warms up.
    let (early, late) = memory.split_at(memory.len() / 2);
    let (early, late) = (early.iter().max().unwrap(), late.iter().max().unwrap());
    assert!(*late < early + early / 4 + 8_192, "memory grows: {memory:?} kB");
    let letters = case.pods.letters(&case.topic).read().await.len();
    assert!(letters >= case.sent() / POISON, "{letters} letters");
}
