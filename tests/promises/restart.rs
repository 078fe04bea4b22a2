//! A pod that starts again under its old name is another owner, and one that was away finds the group elsewhere.

use std::time::{Duration, Instant};

use crate::{
    TEST_WORKER,
    support::{
        kafka::{Record, TestTopic, move_offset},
        pod::Pods,
        redis::store_records,
        wait::until,
    },
};

const PATIENCE: Duration = Duration::from_secs(60);
const LEASE: Duration = Duration::from_secs(12);

#[tokio::test]
async fn a_restart_under_the_same_name_waits_for_the_lease_of_the_pod_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(1).await;
    let pods = Pods::of(topic.name(), folder.path())
        .soon_missed()
        .with("KAFKA__CLIENT_ID", "pod-0")
        .with("DEDUPE__LEASE", &format!("{}s", LEASE.as_secs()));
    let door = pods.door("slow");
    topic.produce(Record::new("slow", format!(r#"{{"id":"slow"{}}}"#, door.order()))).await;

    let mut pod = pods.start(TEST_WORKER);
    // From its first renewal on, the claim tells that the handler has been called.
    until("a renewal with an attempt", PATIENCE, async || {
        let claims = store_records(&pods.prefix()).await;
        if claims.iter().any(|claim| claim.starts_with("1P") && claim.split(':').nth(3) == Some("1")) {
            Ok(())
        } else {
            Err(claims)
        }
    })
    .await;
    pod.kill_9();
    let killed = Instant::now();
    door.open();
    topic.produce(Record::new("quick", r#"{"id":"quick"}"#)).await;

    let _pod = pods.start(TEST_WORKER);
    until("the second attempt", PATIENCE, async || {
        let attempts = pods.attempts().count("slow");
        if attempts == 2 { Ok(()) } else { Err(attempts) }
    })
    .await;
    // The last renewal was a third of the lease before the kill, or somewhat more where the machine is busy.
    assert!(killed.elapsed() >= LEASE / 2, "it began after {:?}", killed.elapsed());
    pods.commit(&topic, 2, PATIENCE).await;

    let attempts = pods.attempts().all();
    let ids: Vec<&str> = attempts.iter().map(|attempt| attempt.id.as_str()).collect();
    assert_eq!(ids, ["slow", "quick", "slow"], "the other key had to wait");
    let (first, second) = (&attempts[0], &attempts[2]);
    assert_eq!((first.attempt, second.attempt), (1, 2));
    assert!(second.token > first.token, "{} does not fence {} off", second.token, first.token);
    assert_eq!((pods.effects().count("slow"), pods.effects().count("quick")), (1, 1));
}

#[tokio::test]
async fn a_pod_that_wakes_up_after_the_group_went_back_commits_what_it_meets_again() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(1).await;
    let pods = Pods::of(topic.name(), folder.path()).soon_missed();
    let ids = ["a", "b", "c", "d"];
    topic.produce_all(ids.map(|id| Record::new(id, format!(r#"{{"id":"{id}"}}"#)))).await;
    let pod = pods.start(TEST_WORKER);
    pods.commit(&topic, 4, PATIENCE).await;
    pod.freeze();
    // As soon as the group has lost its only member.
    move_offset(&pods.group, &topic, 0, 1).await;
    pods.commit(&topic, 1, PATIENCE).await;
    pod.thaw();
    pods.commit(&topic, 4, PATIENCE).await;
    assert!(ids.iter().all(|id| pods.effects().count(id) == 1), "{:?}", pods.effects().counts());
}
