//! What becomes of events while something is wrong with Kafka, or with the way there.

use std::time::{Duration, Instant};

use super::rig::{PATIENCE, Rig, STALL, passes};
use crate::support::disk::SmallDisk;
use crate::support::kafka::{Commits, Record, TestTopic, commit_as_a_member, committed, move_offset};
use crate::support::kafka_server::KafkaServer;
use crate::support::proxy::{Direction, Proxy};
use crate::support::wait::until;

/// A broker of its own, a wire to it, and a topic whose pods are at the other end of the wire.
async fn over_a_wire(partitions: i32) -> (KafkaServer, Proxy, Rig) {
    let (kafka, proxy) = KafkaServer::start_behind_a_proxy().await;
    let rig = Rig::on(TestTopic::at(&kafka.brokers(), "events"), partitions).await;
    let rig = rig.with("KAFKA__BROKERS", &proxy.address()).with("WORKER__CONCURRENCY", "4");
    (kafka, proxy, rig)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_20_commits_whose_answers_are_held_are_covered_by_later_ones() {
    let (_kafka, proxy, rig) = over_a_wire(2).await;
    // Longer than the answers are held: only what becomes of commits is not known.
    let mut rig = rig.with("KAFKA__PROPERTIES__SESSION_TIMEOUT_MS", "30000");
    rig.load(1000, 30).await;
    let pod = rig.start();
    rig.more_effects(50, PATIENCE).await;
    let commits = Commits::watch(&rig.pods.group, &rig.topic).await;
    for _ in 0..2 {
        proxy.hold(Direction::Back, true);
        passes(Duration::from_secs(6)).await;
        rig.keeps_answering("/livez", 200, Duration::from_secs(1)).await;
        proxy.hold(Direction::Back, false);
        // What was fetched may have taken effect meanwhile.
        rig.load(200, 10).await;
        rig.more_effects(1, STALL).await;
    }
    rig.settles_once().await;
    assert_eq!(commits.rewound().await, Vec::<String>::new());
    drop(pod);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_20_commits_that_nobody_answers_are_made_again_on_another_connection() {
    let (_kafka, proxy, mut rig) = over_a_wire(2).await;
    rig.load(1000, 30).await;
    let pod = rig.start();
    rig.more_effects(50, PATIENCE).await;
    // They reach the broker, and what it says never arrives.
    proxy.lose_replies(true);
    passes(Duration::from_secs(5)).await;
    proxy.cut_open_connections();
    proxy.lose_replies(false);
    rig.settles_once().await;
    drop(pod);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_21_a_group_that_somebody_moved_back_repeats_nothing() {
    let mut rig = Rig::new(2).await;
    rig.load(200, 0).await;
    let mut pod = rig.start();
    rig.settles_once().await;
    // At work, by somebody who is a member for a moment.
    commit_as_a_member(&rig.pods.group, &rig.topic, &[(0, 0), (1, 10)]).await;
    rig.load(20, 0).await;
    rig.settles_once().await;
    // And while nobody is.
    pod.terminate();
    pod.wait(PATIENCE).await;
    for partition in 0..2 {
        move_offset(&rig.pods.group, &rig.topic, partition, 3).await;
    }
    let _pod = rig.start();
    rig.load(20, 0).await;
    rig.settles_once().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_22_an_offset_beyond_the_end_is_never_gone_to() {
    let mut rig = Rig::new(2).await;
    rig.load(200, 0).await;
    let mut pod = rig.start();
    rig.settles_once().await;
    commit_as_a_member(&rig.pods.group, &rig.topic, &[(0, 999_999), (1, 999_999)]).await;
    // One of the partitions had been that member's, and comes back; of the other nobody is told before a restart.
    pod.kill_9();
    let _pod = rig.start();
    rig.answers("/readyz", 503, "beyond the end of the log").await;
    rig.load(20, 0).await;
    passes(Duration::from_secs(5)).await;
    let ends = committed(&rig.pods.group, &rig.topic).await;
    for (partition, (offset, _)) in ends.into_iter().filter(|(_, (offset, _))| *offset > 999) {
        let decision = format!("{}:{partition}=100", rig.topic.name());
        let mut check = rig.pods.command(crate::TEST_WORKER, &["check", "--accept", &decision]);
        assert_eq!(check.wait(PATIENCE).await.code(), Some(0), "{offset}: {}", check.output());
    }
    rig.settles_once().await;
    rig.answers("/readyz", 200, "ok").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_25_a_broker_that_is_frozen_for_twenty_seconds_is_waited_for() {
    let kafka = KafkaServer::start().await;
    let mut rig =
        Rig::on(TestTopic::at(&kafka.brokers(), "events"), 3).await.with("WORKER__CONCURRENCY", "4");
    rig.load(1500, 20).await;
    let (pod, other) = (rig.start(), rig.start_another());
    rig.more_effects(50, PATIENCE).await;
    kafka.freeze();
    // What was fetched is finished meanwhile.
    rig.keeps_answering("/livez", 200, Duration::from_secs(20)).await;
    kafka.thaw();
    let thawed = Instant::now();
    rig.load(100, 0).await;
    let counts = rig.settles().await;
    println!("settled {:?} after the thaw", thawed.elapsed());
    // Whoever was presumed dead may have been at work: each of its handlers has finished under a claim of its own.
    assert!(counts.values().all(|count| *count == 1), "{counts:?}");
    drop((pod, other));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_26_another_coordinator_is_found() {
    let kafka = KafkaServer::start().await;
    let mut second = kafka.start_a_second().await;
    // The second broker leads the topic of the offsets, and so coordinates every group; the first has a copy.
    let [offsets, events] =
        ["__consumer_offsets", "events"].map(|name| TestTopic::at(&kafka.brokers(), name));
    offsets.create_led_by(4, &[2, 1], &[("cleanup.policy", "compact")]).await;
    events.create_led_by(2, &[2, 1], &[]).await;
    let mut rig = Rig::at(events, 2).with("WORKER__CONCURRENCY", "4");
    rig.load(1500, 20).await;
    let (pod, other) = (rig.start(), rig.start_another());
    rig.more_effects(50, PATIENCE).await;
    second.kill();
    let killed = Instant::now();
    rig.load(50, 0).await;
    let counts = rig.settles().await;
    println!("settled {:?} after its end", killed.elapsed());
    assert!(counts.values().all(|count| *count == 1), "{counts:?}");
    // And back.
    second.start_again().await;
    rig.load(50, 0).await;
    rig.settles_once().await;
    drop((pod, other));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_27_a_far_broker_costs_time_and_nothing_else() {
    let (_kafka, proxy, mut rig) = over_a_wire(12).await;
    proxy.delay(Duration::from_millis(200));
    rig.load(600, 5).await;
    let pods = [rig.start(), rig.start_another()];
    rig.more_effects(1, PATIENCE).await;
    rig.settles_once().await;
    rig.answers("/readyz", 200, "ok").await;
    drop(pods);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_27_a_slow_line_carries_what_there_is() {
    let (_kafka, proxy, mut rig) = over_a_wire(4).await;
    let pod = rig.start();
    rig.load(4, 0).await;
    rig.settles_once().await;
    // Five megabytes that no compression makes smaller, at 64 kB a second.
    proxy.limit(Some(64_000));
    let noise = |_| (0..10_000).map(|_| char::from(rand::random_range(b'a'..=b'z'))).collect::<String>();
    rig.send(500, |n| format!(r#","fingerprint":"{}""#, noise(n))).await;
    rig.settles_once().await;
    drop(pod);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_27_slices_and_resets_lose_nothing() {
    let (_kafka, proxy, mut rig) = over_a_wire(2).await;
    rig.load(600, 20).await;
    let pod = rig.start();
    rig.more_effects(20, PATIENCE).await;
    proxy.slice(Some(7));
    rig.more_effects(50, STALL).await;
    proxy.slice(None);
    for _ in 0..5 {
        proxy.reset_open_connections();
        rig.more_effects(30, STALL).await;
    }
    rig.settles_once().await;
    drop(pod);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_28_connections_that_carry_nothing_any_more_are_left() {
    let (_kafka, proxy, mut rig) = over_a_wire(2).await;
    rig.load(200, 0).await;
    let pod = rig.start();
    rig.settles_once().await;
    proxy.stall_open_connections();
    let stalled = Instant::now();
    // Nothing of this was fetched before.
    rig.load(200, 0).await;
    rig.more_effects(1, STALL).await;
    println!("found out within {:?}", stalled.elapsed());
    rig.settles_once().await;
    drop(pod);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_30_nothing_old_is_committed_into_a_topic_that_was_created_again() {
    let mut rig = Rig::new(2).await;
    rig.load(400, 50).await;
    let pod = rig.start();
    rig.more_effects(100, PATIENCE).await;
    // Under work, and gone for a while.
    rig.topic.delete().await;
    passes(Duration::from_secs(5)).await;
    rig.topic.create(2, &[]).await;
    let before = rig.sent;
    rig.load(60, 0).await;
    until("the worker to notice", PATIENCE, async || {
        let committed = committed(&rig.pods.group, &rig.topic).await;
        // Its log has thirty records in each partition.
        assert!(committed.values().all(|(offset, _)| *offset <= 30), "{committed:?}");
        let ready = rig.ready().await?;
        if ready.contains("created again") { Ok(()) } else { Err(ready) }
    })
    .await;
    let decisions = [0, 1].map(|partition| format!("{}:{partition}=earliest", rig.topic.name()));
    let args = ["check", "--accept", &decisions[0], "--accept", &decisions[1]];
    let mut check = rig.pods.command(crate::TEST_WORKER, &args);
    assert_eq!(check.wait(PATIENCE).await.code(), Some(0), "{}", check.output());
    until("what the new topic has", PATIENCE, async || {
        let counts = rig.pods.effects().counts();
        let missing: Vec<_> =
            (before..rig.sent).filter(|n| !counts.contains_key(&format!("event-{n}"))).collect();
        if missing.is_empty() { Ok(()) } else { Err(missing) }
    })
    .await;
    rig.pods.commit(&rig.topic, 60, PATIENCE).await;
    let counts = rig.pods.effects().counts();
    assert!(counts.values().all(|count| *count == 1), "{counts:?}");
    drop(pod);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_57_a_broker_whose_disk_is_full_loses_nothing_that_it_took() {
    let disk = SmallDisk::of(40);
    let mut kafka = KafkaServer::start_in(disk.path()).await;
    let mut rig =
        Rig::on(TestTopic::at(&kafka.brokers(), "events"), 2).await.with("WORKER__CONCURRENCY", "4");
    rig.load(300, 20).await;
    let pod = rig.start();
    rig.more_effects(50, PATIENCE).await;
    disk.fill();
    // It takes this one, or ends before.
    let last = rig.topic.clone();
    let filling = tokio::spawn(async move {
        last.produce(Record::new("last", vec![b'x'; 1_000_000])).await;
    });
    kafka.ends(PATIENCE).await;
    filling.abort();
    disk.make_room();
    disk.grow(200);
    kafka.start_again().await;
    let counts = until("all events to take effect", 2 * PATIENCE, async || {
        let counts = rig.pods.effects().counts();
        if counts.len() == rig.sent { Ok(counts) } else { Err(counts.len()) }
    })
    .await;
    assert!(counts.values().all(|count| *count == 1), "{counts:?}");
    drop(pod);
}
