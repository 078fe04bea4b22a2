//! Processes that are killed, frozen and asked to end, and the file that counts their effects.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::ledger::Effects;
use crate::support::process::Worker;
use crate::support::wait::until;

const SOON: Duration = Duration::from_secs(10);

fn shell(script: &str) -> Worker {
    Worker::start("sh", &["-c", script], &[("GREETING", "hello")])
}

/// The kernel's letter for what a process does, for example `T` when it is stopped.
fn state(pid: u32) -> Result<char, String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).map_err(|error| error.to_string())?;
    let (_, rest) = stat.rsplit_once(") ").ok_or("a line without a name")?;
    rest.chars().next().ok_or("a line without a state".into())
}

#[tokio::test]
async fn a_process_ends_with_its_own_code_and_what_it_wrote_is_kept_in_order() {
    let mut worker = shell("echo $GREETING; echo trouble >&2; echo bye; exit 3");
    assert_eq!(worker.wait(SOON).await.code(), Some(3));
    assert_eq!(worker.output(), "hello\ntrouble\nbye\n");
}

#[tokio::test]
async fn a_process_can_be_killed_and_asked_to_end() {
    let waits = "echo up; exec sleep 1000";
    let mut worker = shell(waits);
    worker.says("up", SOON).await;
    assert_eq!(worker.kill_9().signal(), Some(Signal::KILL.as_raw()));

    let mut worker = shell("trap 'exit 7' TERM; echo up; while :; do sleep 0.05; done");
    worker.says("up", SOON).await;
    worker.terminate();
    assert_eq!(worker.wait(SOON).await.code(), Some(7));

    let worker = shell(waits);
    let pid = worker.pid();
    drop(worker);
    assert!(state(pid).is_err(), "a dropped worker lives on");
}

#[tokio::test]
async fn a_frozen_process_stands_still() {
    let worker = shell("while :; do sleep 0.05; done");
    let pid = worker.pid();
    worker.freeze();
    until("the process to stop", SOON, async || {
        state(pid).and_then(|s| if s == 'T' { Ok(()) } else { Err(s.to_string()) })
    })
    .await;
    worker.thaw();
    until("the process to go on", SOON, async || {
        state(pid).and_then(|s| if s == 'T' { Err(s.to_string()) } else { Ok(()) })
    })
    .await;
}

#[tokio::test]
#[should_panic(expected = "for pigs to fly; last seen: \"walking\"")]
async fn waiting_in_vain_says_for_what_and_what_it_saw() {
    until("pigs to fly", Duration::from_millis(120), async || Err::<(), _>("walking")).await;
}

#[test]
fn effects_are_counted_over_processes_and_threads() {
    let dir = tempfile::tempdir().unwrap();
    let effects = Effects::at(dir.path().join("effects"));
    assert_eq!(effects.all(), []);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..250).for_each(|n| effects.add(&format!("id-{n}"), 1, u64::MAX)));
        }
    });
    assert_eq!(effects.all().len(), 1000);
    assert_eq!(effects.count("id-7"), 4);
    assert!(effects.counts().values().all(|count| *count == 4));
    assert_eq!((effects.all()[0].pid, effects.all()[0].token), (std::process::id(), u64::MAX));
}
