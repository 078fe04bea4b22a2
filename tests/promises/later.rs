//! What is tried later is out of the way until then: never tried early, never lost, and its copies run once.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use jiff::Timestamp;

use crate::{
    TEST_WORKER,
    support::{
        kafka::{ReadRecord, Record, TestTopic, all_committed},
        pod::Pods,
        wait::until,
    },
};

/// A busy machine may take so long to notice that something is due.
const LATE_MS: i64 = 20_000;

fn waiting(topic: &TestTopic, pods: &Pods, delay: &str) -> TestTopic {
    TestTopic::named(&format!("{}.{}.retry.{delay}", topic.name(), pods.group))
}

fn millis(copy: &ReadRecord, name: &str) -> i64 {
    copy.header(name).unwrap().parse::<Timestamp>().unwrap().as_millisecond()
}

/// Every attempt at each event: its number, and when it was claimed, which its token tells.
fn attempts(pods: &Pods) -> BTreeMap<String, Vec<(u32, i64)>> {
    let mut all: BTreeMap<String, Vec<(u32, i64)>> = BTreeMap::new();
    for attempt in pods.attempts().all() {
        let claimed_ms = i64::try_from(attempt.token / 1000).unwrap();
        all.entry(attempt.id).or_default().push((attempt.attempt, claimed_ms));
    }
    all
}

fn numbers(pods: &Pods, id: &str) -> Vec<u32> {
    attempts(pods)[id].iter().map(|(number, _)| *number).collect()
}

/// When attempt `number` was made.
fn made(pods: &Pods, id: &str, number: u32) -> i64 {
    attempts(pods)[id].iter().find(|(of, _)| *of == number).unwrap().1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_tried_later_waits_its_time_and_nothing_waits_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(1).await;
    let pods =
        Pods::of(topic.name(), folder.path()).with("RETRY__LATER", "1s, 3s").with("RETRY__MAX_ATTEMPTS", "3");
    let records = [r#"{"id":"slow","fail":2}"#, r#"{"id":"next"}"#, r#"{"id":"stubborn","fail":9}"#];
    topic.produce_all(records.map(|value| Record::new("a", value).header("tenant", "north"))).await;
    let _pod = pods.start(TEST_WORKER);
    pods.until_committed(&topic, 0, 3).await;
    let (short, long) = (waiting(&topic, &pods, "1s"), waiting(&topic, &pods, "3s"));
    pods.until_committed(&short, 0, 2).await;
    pods.until_committed(&long, 0, 2).await;

    assert_eq!((numbers(&pods, "slow"), numbers(&pods, "stubborn")), (vec![1, 2, 3], vec![1, 2, 3]));
    let effects: Vec<String> = pods.effects().all().into_iter().map(|effect| effect.id).collect();
    assert_eq!(effects, ["next", "slow"], "its key and its partition went on");
    for (copies, hop) in [(short.read().await, 1), (long.read().await, 2)] {
        for copy in copies {
            let id = copy.header("oncewise-dedupe-key").unwrap();
            let due = millis(&copy, "oncewise-due-at");
            let waited = due - copy.timestamp.unwrap();
            assert_eq!(waited, if hop == 1 { 1_000 } else { 3_000 }, "{copy:?}");
            assert_eq!(copy.header("oncewise-hop"), Some(hop.to_string()));
            assert_eq!(copy.header("oncewise-attempts"), Some(hop.to_string()));
            assert_eq!(copy.header("tenant").as_deref(), Some("north"));
            let late = made(&pods, &id, hop + 1) - due;
            assert!((0..LATE_MS).contains(&late), "{id}: {late} ms late");
        }
    }
    let letters = pods.letters(&topic).read().await;
    let said = ["original-topic", "original-offset", "disposition", "attempts", "hop"]
        .map(|name| letters[0].header(&format!("oncewise-{name}")).unwrap());
    assert_eq!((letters.len(), said), (1, [topic.name(), "2", "exhausted", "3", "2"].map(str::to_owned)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_retry_after_is_kept_over_several_copies() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(1).await;
    let pods = Pods::of(topic.name(), folder.path()).with("RETRY__LATER", "1s").with("RETRY__IN_PLACE", "9");
    topic.produce(Record::new("a", r#"{"id":"a","fail":1,"retry_after_ms":8500}"#)).await;
    let _pod = pods.start(TEST_WORKER);
    pods.until_committed(&topic, 0, 1).await;
    let waiting = waiting(&topic, &pods, "1s");
    until("the second attempt", Duration::from_secs(60), async || match pods.effects().count("a") {
        0 => Err(pods.attempts().all()),
        _ => Ok(()),
    })
    .await;
    all_committed(&pods.group, &waiting, Duration::from_secs(60)).await;
    let copies = waiting.read().await;
    let hops: Vec<_> = copies.iter().map(|copy| copy.header("oncewise-hop").unwrap()).collect();
    // One each second, but where it was noticed later that one of them was due.
    assert!((2..=8).contains(&hops.len()), "{hops:?}");
    assert_eq!(hops, (1..=hops.len()).map(|hop| hop.to_string()).collect::<Vec<_>>());
    let due = millis(&copies[0], "oncewise-due-at");
    assert!(copies.iter().all(|copy| (millis(copy, "oncewise-due-at") - due).abs() <= 2), "{copies:?}");
    let late = made(&pods, "a", 2) - due;
    assert!((0..LATE_MS).contains(&late), "{late} ms late");
    assert_eq!((numbers(&pods, "a"), pods.effects().count("a")), (vec![1, 2], 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_death_on_the_way_to_later_loses_nothing_and_its_copies_run_once() {
    for point in ["before_copy", "after_copy", "after_moved"] {
        let folder = tempfile::tempdir().unwrap();
        let topic = TestTopic::new(1).await;
        let pods = Pods::of(topic.name(), folder.path()).soon_missed().with("RETRY__LATER", "1s");
        topic.produce(Record::new("a", r#"{"id":"a","fail":1}"#)).await;
        let mut killed = pods.clone().variable("ONCEWISE_CRASH", point).start(TEST_WORKER);
        assert_eq!(killed.wait(Duration::from_secs(60)).await.code(), None, "{point}");
        let _next = pods.start(TEST_WORKER);
        pods.until_committed(&topic, 0, 1).await;
        let waiting = waiting(&topic, &pods, "1s");
        all_committed(&pods.group, &waiting, Duration::from_secs(60)).await;
        let copies = waiting.watermarks(0).await.1;
        assert_eq!((numbers(&pods, "a"), pods.effects().count("a")), (vec![1, 2], 1), "{point}");
        // Until it is due, whoever meets the record sends a copy; after that, it may be tried where it is.
        let expected = if point == "after_moved" { 1..=1 } else { 0..=2 };
        assert!(expected.contains(&copies), "{point}: {copies} copies");
        assert_eq!(pods.letters(&topic).read().await, [], "{point}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_sends_on_for_a_worker_that_died_knows_how_often_it_had_tried() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(1).await;
    let pods = Pods::of(topic.name(), folder.path()).with("RETRY__LATER", "5s");
    topic.produce(Record::new("a", r#"{"id":"a","fail":1,"retry_after_ms":60000}"#)).await;
    let mut killed = pods.clone().variable("ONCEWISE_CRASH", "before_copy").start(TEST_WORKER);
    assert_eq!(killed.wait(Duration::from_secs(60)).await.code(), None);
    let _next = pods.start(TEST_WORKER);
    pods.until_committed(&topic, 0, 1).await;
    let copies = waiting(&topic, &pods, "5s").read().await;
    let said = |name: &str| copies[0].header(&format!("oncewise-{name}"));
    assert_eq!(
        (copies.len(), said("attempts").as_deref(), said("hop").as_deref()),
        (1, Some("1"), Some("1"))
    );
    let waits = millis(&copies[0], "oncewise-due-at") - millis(&copies[0], "oncewise-first-failure-at");
    assert!((60_000..62_000).contains(&waits), "{waits} ms");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_that_wait_outlive_two_deaths_and_none_is_early() {
    let events: usize = std::env::var("ONCEWISE_TEST_LATER").map_or(1_000, |number| number.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(2).await;
    let pods = Pods::of(topic.name(), folder.path())
        .soon_missed()
        .with("RETRY__LATER", "2s, 5s")
        // Where most of them fail by design, it would take that for an outage.
        .with("BREAKER__ENABLED", "false")
        .with("WORKER__CONCURRENCY", "64")
        .with("WORKER__MAX_IN_FLIGHT", "500");
    let record = |number: usize| {
        let fails = 1 + number % 2;
        Record::new(format!("k{number}"), format!(r#"{{"id":"e{number}","fail":{fails}}}"#))
            .to((number % 2) as i32)
    };
    topic.produce_all((0..events).map(record)).await;
    let began = Instant::now();
    for share in [3, 1] {
        let mut killed = pods.start(TEST_WORKER);
        until("some attempts", Duration::from_secs(120), async || {
            let seen = attempts(&pods).len();
            if seen >= events / share { Ok(()) } else { Err(seen) }
        })
        .await;
        killed.kill_9();
    }
    let _pod = pods.start(TEST_WORKER);
    until("all effects", Duration::from_secs(180), async || {
        let seen = pods.effects().counts().len();
        if seen == events { Ok(()) } else { Err(seen) }
    })
    .await;
    let doubled = pods.effects().counts().values().filter(|count| **count > 1).count();
    assert!(doubled <= 2 * 64, "{doubled} of {events}");
    let took = began.elapsed();
    // Of two copies after one attempt, which a death has made, the first may be tried when it is due.
    let mut due: BTreeMap<(String, u32), i64> = BTreeMap::new();
    for delay in ["2s", "5s"] {
        for copy in waiting(&topic, &pods, delay).read().await {
            let after = copy.header("oncewise-attempts").unwrap().parse().unwrap();
            let first = due.entry((copy.header("oncewise-dedupe-key").unwrap(), after)).or_insert(i64::MAX);
            *first = millis(&copy, "oncewise-due-at").min(*first);
        }
    }
    assert!(due.len() >= events, "{} were put off", due.len());
    let (attempts, copies, mut late) = (attempts(&pods), due.len(), Vec::new());
    for ((id, after), due) in due {
        let next = attempts[&id].iter().filter(|(number, _)| *number == after + 1).map(|(_, at)| *at).min();
        assert!(next.is_none_or(|next| next >= due), "{id}: due at {due}, tried at {next:?}");
        late.extend(next.map(|next| next - due));
    }
    late.sort_unstable();
    println!(
        "{events} events, two deaths, {copies} times put off: all settled after {took:.1?}, {doubled} took effect twice; \
         tried {} ms after they were due in the middle, {:?} ms at most",
        late[late.len() / 2],
        late.last()
    );
    assert_eq!(pods.letters(&topic).read().await, []);
}
