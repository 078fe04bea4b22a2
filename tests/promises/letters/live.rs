//! Redriven while the group's workers go on with what is new: what is meant takes effect once, and nothing else runs.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{PATIENCE, Shop};
use crate::{
    TEST_WORKER,
    support::{
        kafka::{Record, TestTopic},
        wait::until,
    },
};

/// Letters a second, as a person allows them.
const RATE: usize = 200;

/// How many letters there are: `ONCEWISE_TEST_LETTERS`, to see more of them.
fn letters() -> usize {
    std::env::var("ONCEWISE_TEST_LETTERS").map_or(360, |number| number.parse().unwrap())
}

fn events(name: &str, numbers: Range<usize>, orders: &str) -> Vec<Record> {
    let event = |number| {
        let id = format!("{name}{number:05}");
        Record::new(format!("k{number}"), format!(r#"{{"id":"{id}"{orders}}}"#))
    };
    numbers.map(event).collect()
}

fn names(name: &str, count: usize, times: usize) -> BTreeMap<String, usize> {
    (0..count).map(|number| (format!("{name}{number:05}"), times)).collect()
}

/// What comes meanwhile, fifty events a second, until it is told to stop; answers how many came.
async fn traffic(topic: TestTopic, flows: Arc<AtomicBool>) -> usize {
    let (mut sent, mut pace) = (0, tokio::time::interval(Duration::from_millis(100)));
    while flows.load(SeqCst) {
        pace.tick().await;
        topic.produce_all(events("live", sent..sent + 5, "")).await;
        sent += 5;
    }
    sent
}

/// How many letters each line is about, by its error.
fn lines(said: &Value) -> Vec<u64> {
    let groups = said["groups"].as_array().unwrap();
    let mut lines: Vec<u64> = groups.iter().map(|group| group["count"].as_u64().unwrap()).collect();
    lines.sort_unstable();
    lines
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_cause_is_mended_while_live_events_flow_and_a_loop_ends_in_the_parking_topic() {
    let (looped, refused) = (letters() / 6, letters() / 5);
    let mended = letters() - looped - refused;
    let shop = Shop::new(2).await;
    shop.topic.produce_all(events("mended", 0..mended, r#","fail":1"#)).await;
    shop.topic.produce_all(events("refused", 0..refused, r#","reject":true"#)).await;
    shop.topic.produce_all(events("loop", 0..looped, r#","panic":9"#)).await;
    let mut broken = shop.pods.clone().with("RETRY__MAX_ATTEMPTS", "1").start(TEST_WORKER);
    shop.pods.commit(&shop.topic, letters() as i64, PATIENCE).await;
    broken.terminate();
    assert!(broken.wait(PATIENCE).await.success());
    assert_eq!(shop.pods.effects().counts(), BTreeMap::new());
    let (code, said) = shop.run(&["groups"]).await;
    assert_eq!(
        (code, lines(&said)),
        (0, [looped, refused, mended].map(|count| count as u64).to_vec()),
        "{said}"
    );

    // What was broken is mended: a second attempt takes effect.
    let _pod = shop.pods.clone().with("RETRY__MAX_ATTEMPTS", "2").start(TEST_WORKER);
    let flows = Arc::new(AtomicBool::new(true));
    let traffic = tokio::spawn(traffic(shop.topic.clone(), Arc::clone(&flows)));
    let rate = RATE.to_string();
    let meant = ["redrive", "--filter", "error=failed as ordered", "--rate", &rate, "--yes"];
    let began = Instant::now();
    // It dies between two transactions, of which each has a few letters (the first a second's worth), and again by a
    // signal from outside.
    let place = format!("after_redrive:{}", (mended / 50).saturating_sub(4).max(1));
    let mut killed = shop.start(&shop.pods.clone().variable("ONCEWISE_CRASH", &place), &meant);
    assert_eq!(killed.wait(PATIENCE).await.code(), None, "killed in the middle: {}", killed.output());
    let [open, first, ..] = shop.status().await;
    assert!(0 < first && first < mended as u64 && open > 0, "{open} open, {first} redriven");
    let mut killed = shop.start(&shop.pods, &meant);
    let mended_by_now = || shop.pods.effects().counts().keys().filter(|id| id.starts_with("mended")).count();
    until("half of the rest", PATIENCE, async || match mended_by_now() {
        mended_by_now if mended_by_now > (first as usize + mended) / 2 => Ok(()),
        mended_by_now => Err(mended_by_now),
    })
    .await;
    killed.kill_9();
    let last = Instant::now();
    let (code, done) = shop.done(&meant).await;
    let (took, allowed) = (began.elapsed(), RATE as f64 * (last.elapsed().as_secs_f64() + 1.0));
    let [redriven, before] = ["redriven", "before"].map(|name| done[name].as_u64().unwrap());
    assert_eq!((code, redriven + before), (0, mended as u64), "{done}");
    assert!(redriven as f64 <= allowed, "{redriven} were sent, and {allowed} were allowed");
    flows.store(false, SeqCst);
    let live = traffic.await.unwrap();
    let mut expected = names("mended", mended, 1);
    expected.extend(names("live", live, 1));
    until("every event to take effect", PATIENCE, async || match shop.pods.effects().counts() {
        counts if counts.len() == expected.len() => Ok(()),
        counts => Err(counts.len()),
    })
    .await;
    let others = (looped + refused) as u64;
    assert_eq!(shop.status().await, [others, mended as u64, 0, 0]);
    println!(
        "{} letters of three causes; {mended} of one sent again in {took:.1?}, killed after {first} and after {before}, \
         beside {live} live events; all settled {:.1?} after the first of them",
        letters(),
        began.elapsed()
    );

    // What fails again is a new letter, until it has been sent often enough.
    let again = ["redrive", "--filter", "key=loop00000", "--cap", "1", "--yes"];
    let (code, done) = shop.done(&again).await;
    assert_eq!((code, &done["redriven"]), (0, &json!(1)), "{done}");
    until("its second letter", PATIENCE, async || match shop.status().await {
        [open, redriven, 0, 0] if (open, redriven) == (others, mended as u64 + 1) => Ok(()),
        seen => Err(seen),
    })
    .await;
    let (code, done) = shop.done(&again).await;
    assert_eq!((code, &done["parked"]), (0, &json!(1)), "{done}");
    let parked = shop.ours("parking").read().await;
    assert_eq!(parked[0].header("oncewise-redrive-count").as_deref(), Some("1"));
    until("no copy to wait", PATIENCE, async || match shop.run(&["status"]).await {
        (0, said) if said["topics"][0]["waiting"][0]["records"] == 0 => Ok(()),
        (_, said) => Err(said),
    })
    .await;
    assert_eq!(shop.pods.effects().counts(), expected, "each once, and nothing that was not meant");
    let attempts = shop.pods.attempts().counts();
    for (name, count, times) in [("refused", refused, 1), ("mended", mended, 3)] {
        let wrong = names(name, count, times).into_iter().find(|(id, times)| attempts.get(id) != Some(times));
        assert_eq!(wrong, None, "{:?} attempts were made", wrong.as_ref().map(|(id, _)| attempts.get(id)));
    }
}
