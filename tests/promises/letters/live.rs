//! Redriven while the group's workers go on with what is new: what is meant takes effect once, and nothing else runs.

use std::collections::BTreeMap;

use serde_json::json;

use super::{PATIENCE, Shop};
use crate::{
    TEST_WORKER,
    support::{kafka::Record, wait::until},
};

fn events(name: &str, count: usize, orders: &str) -> Vec<Record> {
    let event = |number| {
        let id = format!("{name}{number:03}");
        Record::new(format!("k{number}"), format!(r#"{{"id":"{id}"{orders}}}"#))
    };
    (0..count).map(event).collect()
}

fn names(name: &str, count: usize, times: usize) -> BTreeMap<String, usize> {
    (0..count).map(|number| (format!("{name}{number:03}"), times)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_cause_is_mended_while_live_events_flow_and_a_loop_ends_in_the_parking_topic() {
    let shop = Shop::new(2).await;
    shop.topic.produce_all(events("mended", 120, r#","fail":1"#)).await;
    shop.topic.produce_all(events("refused", 60, r#","reject":true"#)).await;
    shop.topic.produce_all(events("loop", 1, r#","panic":9"#)).await;
    let mut broken = shop.pods.clone().with("RETRY__MAX_ATTEMPTS", "1").start(TEST_WORKER);
    shop.pods.commit(&shop.topic, 181, PATIENCE).await;
    broken.terminate();
    assert!(broken.wait(PATIENCE).await.success());
    assert_eq!(shop.pods.effects().counts(), BTreeMap::new());

    // What was broken is mended: a second attempt takes effect.
    let _pod = shop.pods.clone().with("RETRY__MAX_ATTEMPTS", "2").start(TEST_WORKER);
    let meant = ["redrive", "--filter", "error=failed as ordered", "--rate", "200", "--yes"];
    let killed = shop.pods.clone().variable("ONCEWISE_CRASH", "after_redrive");
    shop.topic.produce_all(events("live", 100, "")).await;
    let mut killed = shop.start(&killed, &[&meant[..], &["--max", "50"]].concat());
    assert_eq!(killed.wait(PATIENCE).await.code(), None, "killed in the middle: {}", killed.output());
    shop.topic.produce_all(events("later", 100, "")).await;
    let [open, redriven, ..] = shop.status().await;
    assert!(open > 61 && redriven > 0, "{open} open, {redriven} redriven");
    let (code, done) = shop.done(&meant).await;
    assert_eq!((code, &done["redriven"]), (0, &json!(120 - redriven)), "{done}");
    let mut expected = names("mended", 120, 1);
    expected.extend(names("live", 100, 1));
    expected.extend(names("later", 100, 1));
    until("every event to take effect", PATIENCE, async || match shop.pods.effects().counts() {
        counts if counts.len() == expected.len() => Ok(()),
        counts => Err(counts.len()),
    })
    .await;
    assert_eq!(shop.status().await, [61, 120, 0, 0]);

    // What fails again is a new letter, until it has been sent often enough.
    let again = ["redrive", "--filter", "key=loop000", "--cap", "1", "--yes"];
    let (code, done) = shop.done(&again).await;
    assert_eq!((code, &done["redriven"]), (0, &json!(1)), "{done}");
    until("its second letter", PATIENCE, async || match shop.status().await {
        [61, 121, 0, 0] => Ok(()),
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
    assert!(
        names("refused", 60, 1).iter().all(|(name, times)| attempts.get(name) == Some(times)),
        "{attempts:?}"
    );
    assert!(
        names("mended", 120, 3).iter().all(|(name, times)| attempts.get(name) == Some(times)),
        "{attempts:?}"
    );
}
