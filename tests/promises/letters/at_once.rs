//! Killed in the middle, interrupted, or run by two at once: each letter is sent once.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use super::{PATIENCE, Shop, json_of, keys, letter};
use crate::support::wait::until;

async fn shop(letters: i64) -> (Shop, Vec<String>) {
    let name = |number: i64| format!("e{number:04}");
    let shop = Shop::with_letters(
        2,
        (0..letters).map(|number| letter(i32::from(number % 2 == 0), number, &name(number), "busy")),
    );
    (shop.await, (0..letters).map(name).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_anywhere_and_run_again_each_letter_is_sent_once() {
    let (shop, all) = shop(200).await;
    for place in ["before_redrive:2", "before_transaction:3", "after_redrive:2"] {
        let killed = shop.pods.clone().variable("ONCEWISE_CRASH", place);
        let mut killed = shop.start(&killed, &["redrive", "--all", "--rate", "20", "--yes"]);
        assert_eq!(killed.wait(PATIENCE).await.code(), None, "it was to die at {place}: {}", killed.output());
    }
    let [open, redriven, ..] = shop.status().await;
    assert!(open > 0 && redriven > 0, "killed in the middle: {open} open, {redriven} redriven");
    let (code, done) = shop.done(&["redrive", "--all", "--yes"]).await;
    assert_eq!((code, &done["redriven"]), (0, &json!(open)), "{done}");
    assert_eq!(keys(&shop.ours("redrive").read().await), all);
    assert_eq!(shop.status().await, [0, 200, 0, 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_at_once_send_each_letter_once() {
    let (shop, all) = shop(120).await;
    let run = || shop.start(&shop.pods, &["redrive", "--all", "--rate", "40", "--yes"]);
    let (mut one, mut other) = (run(), run());
    for worker in [&mut one, &mut other] {
        assert_eq!(worker.wait(PATIENCE).await.code(), Some(0), "{}", worker.output());
    }
    assert_eq!(keys(&shop.ours("redrive").read().await), all);
    let sent = [&one, &other].map(|worker| json_of(worker)["topics"][0]["redriven"].as_u64().unwrap());
    assert_eq!(sent.iter().sum::<u64>(), 120, "{sent:?}");
    assert_eq!(shop.status().await, [0, 120, 0, 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_interrupted_says_how_to_go_on_and_the_rate_is_kept() {
    // So many that it is at work for longer than anybody takes to look.
    let (shop, _) = shop(1_200).await;
    let began = std::time::Instant::now();
    let mut worker = shop.start(&shop.pods, &["redrive", "--all", "--rate", "20", "--yes"]);
    until("the first copies", PATIENCE, async || match shop.status().await {
        [_, redriven, ..] if redriven >= 20 => Ok(()),
        seen => Err(seen),
    })
    .await;
    worker.signal(Signal::INT);
    assert_eq!(worker.wait(PATIENCE).await.code(), Some(1), "{}", worker.output());
    let allowed = 20 * (began.elapsed() + Duration::from_secs(1)).as_secs() + 20;
    let said = json_of(&worker);
    let redriven = said["topics"][0]["redriven"].as_u64().unwrap();
    assert_eq!(said["error"], "interrupted");
    assert!((20..=allowed).contains(&redriven) && redriven < 1_200, "{redriven} of {allowed} allowed");
    assert_eq!(shop.status().await, [1_200 - redriven, redriven, 0, 0], "what it says was done was");
    let audited = shop.audited().await;
    assert_eq!((&audited[0]["outcome"], &audited[1]["outcome"]), (&json!("intended"), &json!("failed")));
}
