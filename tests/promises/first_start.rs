//! Where a group begins, and what happens when its place is lost: a person decides, nothing is skipped in silence.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use crate::{
    TEST_WORKER,
    support::{
        free_ports, http,
        kafka::{Record, TestTopic, all_committed, committed, delete_group, move_offset},
        pod::Pods,
        process::Worker,
        wait::until,
    },
};

const PATIENCE: Duration = Duration::from_secs(60);

fn event(id: &str) -> Record {
    Record::new(id, format!(r#"{{"id":"{id}"}}"#))
}

async fn offsets(pods: &Pods, topic: &TestTopic) -> BTreeMap<i32, i64> {
    committed(&pods.group, topic)
        .await
        .into_iter()
        .map(|(partition, (offset, _))| (partition, offset))
        .collect()
}

async fn commits(pods: &Pods, topic: &TestTopic, expected: &[i64]) {
    let expected: BTreeMap<i32, i64> = (0..).zip(expected.iter().copied()).collect();
    until(&format!("{expected:?} to be committed"), PATIENCE, async || {
        let offsets = offsets(pods, topic).await;
        if offsets == expected { Ok(()) } else { Err(offsets) }
    })
    .await;
}

async fn stopped(mut pod: Worker) {
    pod.terminate();
    assert_eq!(pod.wait(PATIENCE).await.code(), Some(0), "{}", pod.output());
}

/// Which events took effect; none of them twice.
fn effects(pods: &Pods) -> Vec<String> {
    let counts = pods.effects().counts();
    assert!(counts.values().all(|count| *count == 1), "{counts:?}");
    counts.into_keys().collect()
}

/// A pod with a port for its probes.
async fn probed(pods: &Pods) -> (Worker, u16) {
    let port = free_ports(1);
    (pods.clone().with("HTTP__LISTEN", &format!("127.0.0.1:{port}")).start(TEST_WORKER), port)
}

/// Waits until `/readyz` answers with this status and exactly these reasons, and with nothing else.
async fn readyz(port: u16, topic: &TestTopic, reasons: &[(i32, &str)]) {
    let line = |(partition, why): &(i32, &str)| {
        let name = topic.name();
        format!(
            "partition {partition} of {name} is paused: {why}; decide with: worker check --accept {name}:{partition}=earliest|latest|OFFSET"
        )
    };
    let lines: Vec<String> = reasons.iter().map(line).collect();
    until(&format!("/readyz to say {lines:?}"), PATIENCE, async || {
        let (status, body) = http::get(port, "/readyz").await?;
        let said: Vec<&str> =
            body.lines().map(|line| line.split_once(": ").map_or(line, |(_, why)| why)).collect();
        let expected = if lines.is_empty() {
            (200, vec!["ok"])
        } else {
            (503, lines.iter().map(String::as_str).collect())
        };
        if (status, &said) == (expected.0, &expected.1) { Ok(()) } else { Err(format!("{status} {body}")) }
    })
    .await;
}

async fn accept(pods: &Pods, topic: &TestTopic, decisions: &[&str]) {
    let decisions: Vec<String> =
        decisions.iter().map(|decision| format!("{}:{decision}", topic.name())).collect();
    let args: Vec<&str> =
        ["check"].into_iter().chain(decisions.iter().flat_map(|decision| ["--accept", decision])).collect();
    let mut check = pods.command(TEST_WORKER, &args);
    assert_eq!(check.wait(PATIENCE).await.code(), Some(0), "{}", check.output());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_start_is_where_the_configuration_says_and_is_committed_at_once() {
    let topic = TestTopic::new(3).await;
    let began = SystemTime::now() - Duration::from_secs(3600);
    let began = jiff::Timestamp::try_from(began).unwrap();
    let stamped = |id: &str, seconds: i64| event(id).stamped(began.as_millisecond() + seconds * 1000);
    let records =
        [stamped("a", 0).to(0), stamped("b", 60).to(0), stamped("c", 120).to(0), stamped("d", 30).to(1)];
    topic.produce_all(records).await;
    let time = (began + jiff::SignedDuration::from_secs(60)).to_string();
    for (start, places, expected) in [
        ("latest", [3, 1, 0], vec![]),
        ("earliest", [3, 1, 0], vec!["a", "b", "c", "d"]),
        (time.as_str(), [3, 1, 0], vec!["b", "c"]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let pods = Pods::of(topic.name(), folder.path()).with("WORKER__START_FROM", start);
        let _pod = pods.start(TEST_WORKER);
        commits(&pods, &topic, &places).await;
        assert_eq!(effects(&pods), expected, "from {start}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_after_a_first_start_at_the_end_is_not_skipped_by_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(1).await;
    topic.produce(event("before")).await;
    let pods = Pods::of(topic.name(), folder.path())
        .soon_missed()
        .with("WORKER__START_FROM", "latest")
        .with("WORKER__COMMIT_INTERVAL", "60s");
    let mut first = pods.clone().variable("ONCEWISE_CRASH", "after_claim").start(TEST_WORKER);
    first.says(": assigned ", PATIENCE).await;
    topic.produce(event("after")).await;
    first.wait(PATIENCE).await;
    assert_eq!(effects(&pods), Vec::<String>::new(), "it died before the effect");
    let _second = pods.start(TEST_WORKER);
    until("the event", PATIENCE, async || match pods.effects().all().len() {
        1 => Ok(()),
        other => Err(other),
    })
    .await;
    assert_eq!(effects(&pods), ["after"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_offsets_wait_for_a_person_and_then_go_on_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(2).await;
    let pods = Pods::of(topic.name(), folder.path());
    topic.produce_all(["a", "b", "c"].map(|id| event(id).to(0))).await;
    let first = pods.start(TEST_WORKER);
    commits(&pods, &topic, &[3, 0]).await;
    stopped(first).await;
    delete_group(&pods.group, &topic).await;
    topic.produce_all([event("d").to(0), event("e").to(0), event("f").to(1)]).await;

    let (_pod, port) = probed(&pods).await;
    let gone = "its committed offset is gone; the group began at 0";
    readyz(port, &topic, &[(0, gone), (1, gone)]).await;
    assert_eq!(effects(&pods), ["a", "b", "c"], "nothing is consumed");
    accept(&pods, &topic, &["0=4"]).await;
    readyz(port, &topic, &[(1, gone)]).await;
    until("the partition to go on", PATIENCE, async || match offsets(&pods, &topic).await {
        offsets if offsets == BTreeMap::from([(0, 5)]) => Ok(()),
        other => Err(other),
    })
    .await;
    assert_eq!(effects(&pods), ["a", "b", "c", "e"], "from 4 on");
    accept(&pods, &topic, &["1=earliest"]).await;
    readyz(port, &topic, &[]).await;
    commits(&pods, &topic, &[5, 1]).await;
    assert_eq!(effects(&pods), ["a", "b", "c", "e", "f"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_outside_of_the_log_waits_for_a_person() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(2).await;
    let pods = Pods::of(topic.name(), folder.path());
    topic.produce_all([event("a").to(0), event("b").to(0), event("c").to(1)]).await;
    let first = pods.start(TEST_WORKER);
    commits(&pods, &topic, &[2, 1]).await;
    stopped(first).await;
    move_offset(&pods.group, &topic, 0, 9).await;
    topic.produce_all(["d", "e", "f", "g"].map(|id| event(id).to(1))).await;
    topic.delete_records(1, 4).await;

    let (pod, port) = probed(&pods).await;
    let beyond = "the committed offset 9 is beyond the end of the log, 2: the topic was created again, or somebody moved the offset";
    let deleted = "records 1 to 3 were deleted before they were handled";
    readyz(port, &topic, &[(0, beyond), (1, deleted)]).await;
    // That the log grows past the offset decides nothing, neither now nor after a restart.
    topic.produce_all(["h", "i", "j", "k", "l", "m", "n", "o"].map(|id| event(id).to(0))).await;
    let lost = "its log had lost its end: records from 2 on may be others than those that were handled, and 9 is committed";
    readyz(port, &topic, &[(0, lost), (1, deleted)]).await;
    stopped(pod).await;
    let (_pod, port) = probed(&pods).await;
    readyz(port, &topic, &[(0, lost), (1, deleted)]).await;
    accept(&pods, &topic, &["0=2", "1=earliest"]).await;
    readyz(port, &topic, &[]).await;
    commits(&pods, &topic, &[10, 5]).await;
    assert_eq!(effects(&pods), ["a", "b", "c", "g", "h", "i", "j", "k", "l", "m", "n", "o"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_deleted_under_a_worker_that_is_behind_pause_their_partition_alone() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(2).await;
    // It fetches one record beyond the one that runs, at most.
    let pods = Pods::of(topic.name(), folder.path())
        .with("WORKER__MAX_IN_FLIGHT", "2")
        .with("KAFKA__PROPERTIES__FETCH_MESSAGE_MAX_BYTES", "1")
        .with("KAFKA__PROPERTIES__QUEUED_MIN_MESSAGES", "1");
    let door = pods.door("slow");
    topic.produce(Record::new("slow", format!(r#"{{"id":"slow"{}}}"#, door.order())).to(0)).await;
    for id in ["b", "c", "d", "e"] {
        topic.produce(event(id).to(0)).await;
    }
    let (_pod, port) = probed(&pods).await;
    until("the slow handler", PATIENCE, async || match pods.attempts().all().len() {
        1 => Ok(()),
        other => Err(other),
    })
    .await;
    topic.delete_records(0, 4).await;
    assert_eq!(effects(&pods), Vec::<String>::new(), "the slow handler still runs");
    door.open();
    // Whether the second had been fetched by then is for Kafka's client to say. If so, it is not lost.
    let was_fetched = until("/readyz to name what was deleted", PATIENCE, async || {
        let (_, body) = http::get(port, "/readyz").await?;
        let names =
            |first: u8| body.contains(&format!("records {first} to 3 were deleted before they were handled"));
        if names(1) || names(2) { Ok(names(2)) } else { Err(body) }
    })
    .await;
    topic.produce(event("f").to(1)).await;
    until("the other partition to flow", PATIENCE, async || match offsets(&pods, &topic).await.get(&1) {
        Some(1) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    accept(&pods, &topic, &["0=earliest"]).await;
    readyz(port, &topic, &[]).await;
    commits(&pods, &topic, &[5, 1]).await;
    let fetched: &[&str] = if was_fetched { &["b"] } else { &[] };
    assert_eq!(effects(&pods), [fetched, &["e", "f", "slow"]].concat());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_partition_starts_at_its_beginning_even_where_the_group_began_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(1).await;
    topic.produce(event("old")).await;
    let pods = Pods::of(topic.name(), folder.path())
        .with("WORKER__START_FROM", "latest")
        .with("KAFKA__PROPERTIES__TOPIC_METADATA_REFRESH_INTERVAL_MS", "500");
    let pod = pods.start(TEST_WORKER);
    commits(&pods, &topic, &[1]).await;
    pod.freeze();
    topic.grow(2).await;
    topic.produce(event("new").to(1)).await;
    pod.thaw();
    commits(&pods, &topic, &[1, 1]).await;
    assert_eq!(effects(&pods), ["new"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_created_again_while_the_worker_is_stopped_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(1).await;
    let pods = Pods::of(topic.name(), folder.path());
    topic.produce_all(["a", "b"].map(event)).await;
    let first = pods.start(TEST_WORKER);
    commits(&pods, &topic, &[2]).await;
    stopped(first).await;
    topic.delete().await;
    topic.create(1, &[]).await;
    topic.produce_all(["c", "d", "e", "f"].map(event)).await;

    let (_pod, port) = probed(&pods).await;
    readyz(
        port,
        &topic,
        &[(0, "the topic was deleted and created again: offsets of the old one mean nothing")],
    )
    .await;
    assert_eq!(effects(&pods), ["a", "b"], "nothing is consumed");
    accept(&pods, &topic, &["0=earliest"]).await;
    all_committed(&pods.group, &topic, PATIENCE).await;
    assert_eq!(effects(&pods), ["a", "b", "c", "d", "e", "f"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_created_again_under_a_running_worker_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(1).await;
    let pods = Pods::of(topic.name(), folder.path());
    topic.produce_all(["a", "b"].map(event)).await;
    let (pod, port) = probed(&pods).await;
    commits(&pods, &topic, &[2]).await;
    pod.freeze();
    topic.delete().await;
    topic.create(1, &[]).await;
    topic.produce_all(["c", "d", "e", "f"].map(event)).await;
    pod.thaw();
    until("the worker to notice", PATIENCE, async || match http::get(port, "/readyz").await? {
        (503, why) if why.contains("created again") => Ok(()),
        other => Err(format!("{other:?}, effects {:?}", effects(&pods))),
    })
    .await;
    // What was fetched before it was noticed took effect; what was skipped is found by going back.
    accept(&pods, &topic, &["0=earliest"]).await;
    until("what was skipped", PATIENCE, async || match effects(&pods) {
        effects if effects == ["a", "b", "c", "d", "e", "f"] => Ok(()),
        other => Err(other),
    })
    .await;
    all_committed(&pods.group, &topic, PATIENCE).await;
}
