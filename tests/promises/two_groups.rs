//! Groups that consume one topic know nothing of each other.

use crate::{
    TEST_WORKER,
    support::{
        kafka::{Record, TestTopic},
        pod::Pods,
    },
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retries_and_dead_letters_of_one_group_are_never_seen_by_the_other() {
    let topic = TestTopic::new(1).await;
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [strict, patient] = [("1", &folders[0]), ("5", &folders[1])].map(|(attempts, folder)| {
        Pods::of(topic.name(), folder.path())
            .with("RETRY__MAX_ATTEMPTS", attempts)
            .with("DEDUPE__PREFIX", &format!("t.{}", topic.name()))
    });
    topic
        .produce_all([
            Record::new("a", r#"{"id":"fails-twice","fail":2}"#),
            Record::new("a", r#"{"id":"fine"}"#),
            Record::new("b", r#"{"id":"rejected","reject":true}"#),
        ])
        .await;
    let _pods = [&strict, &patient].map(|pods| pods.start(TEST_WORKER));
    for pods in [&strict, &patient] {
        pods.until_committed(&topic, 0, 3).await;
    }
    // Behind whatever one of them might have sent to the other.
    topic.produce(Record::new("c", r#"{"id":"last"}"#)).await;
    for pods in [&strict, &patient] {
        pods.until_committed(&topic, 0, 4).await;
    }

    let attempts = async |pods: &Pods| pods.attempts().counts();
    let counts = |counts: &[(&str, usize)]| counts.iter().map(|(id, n)| ((*id).to_owned(), *n)).collect();
    let once = [("fails-twice", 1), ("fine", 1), ("last", 1), ("rejected", 1)];
    assert_eq!(attempts(&strict).await, counts(&once));
    assert_eq!(strict.effects().counts(), counts(&[("fine", 1), ("last", 1)]));
    assert_eq!(
        attempts(&patient).await,
        counts(&[("fails-twice", 3), ("fine", 1), ("last", 1), ("rejected", 1)])
    );
    assert_eq!(patient.effects().counts(), counts(&[("fails-twice", 1), ("fine", 1), ("last", 1)]));

    for (pods, expected) in [
        (&strict, vec![("fails-twice", "exhausted"), ("rejected", "rejected")]),
        (&patient, vec![("rejected", "rejected")]),
    ] {
        let letters = pods.letters(&topic).read().await;
        assert!(letters.iter().all(|letter| letter.header("oncewise-group").unwrap() == pods.group));
        let mut found: Vec<_> = letters
            .iter()
            .map(|letter| {
                ["dedupe-key", "disposition"].map(|name| letter.header(&format!("oncewise-{name}")).unwrap())
            })
            .collect();
        found.sort();
        let expected: Vec<_> = expected.iter().map(|(id, disposition)| [*id, *disposition]).collect();
        assert_eq!(found, expected, "{}", pods.group);
    }
}
