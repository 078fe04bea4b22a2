//! A payload that takes the process down is found, parked, and takes nobody along.

use std::time::Duration;

use crate::{
    TEST_WORKER,
    support::{
        kafka::{Record, TestTopic, committed},
        pod::Pods,
        process::Worker,
        wait::until,
    },
};

const PATIENCE: Duration = Duration::from_secs(120);

fn neighbours(count: usize) -> impl Iterator<Item = Record> {
    (0..count).map(|n| Record::new(format!("key-{n}"), format!(r#"{{"id":"event-{n}","sleep_ms":20}}"#)))
}

/// A pod that somebody starts again whenever it dies, as Kubernetes does.
struct Supervised {
    pods: Pods,
    pod: Worker,
    deaths: usize,
}

impl Supervised {
    fn start(pods: &Pods) -> Supervised {
        Supervised { pods: pods.clone(), pod: pods.start(TEST_WORKER), deaths: 0 }
    }

    fn look(&mut self) {
        if let Some(status) = self.pod.ended() {
            assert_eq!(status.code(), None, "it ended by itself: {status}");
            self.deaths += 1;
            self.pod = self.pods.start(TEST_WORKER);
        }
    }
}

/// How many records of the topic the group has committed.
async fn progress(pods: &Pods, topic: &TestTopic) -> i64 {
    committed(&pods.group, topic).await.values().map(|(offset, _)| offset).sum()
}

#[tokio::test]
async fn a_payload_that_kills_the_process_is_dead_lettered_and_its_neighbours_take_effect() {
    const NEIGHBOURS: usize = 60;
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(2).await;
    let pods = Pods::of(topic.name(), folder.path()).soon_missed().with("DEDUPE__MAX_DELIVERIES", "2");
    let mut records: Vec<Record> = neighbours(NEIGHBOURS).collect();
    records.insert(NEIGHBOURS / 2, Record::new("poison", r#"{"id":"poison","abort":true}"#).to(0));
    topic.produce_all(records).await;

    let mut supervised = [Supervised::start(&pods), Supervised::start(&pods)];
    until("everything to be committed", PATIENCE, async || {
        supervised.iter_mut().for_each(Supervised::look);
        let progress = progress(&pods, &topic).await;
        if progress == NEIGHBOURS as i64 + 1 { Ok(()) } else { Err(progress) }
    })
    .await;

    // Two in the crowd, to come under suspicion, and two alone, to be convicted.
    let deaths: usize = supervised.iter().map(|pod| pod.deaths).sum();
    assert_eq!((deaths, pods.attempts().count("poison")), (4, 4));
    let letters = pods.letters(&topic).read().await;
    assert_eq!(letters.len(), 1, "{letters:?}");
    let header = |name: &str| letters[0].header(&format!("oncewise-{name}")).unwrap();
    assert_eq!((header("dedupe-key"), header("disposition")), ("poison".into(), "exhausted".into()));
    assert!(header("error").contains("workers died"), "{}", header("error"));
    let counts = pods.effects().counts();
    assert_eq!(counts.len(), NEIGHBOURS, "lost neighbours");
    // Each death may come between an effect and its mark.
    assert!(counts.values().all(|count| *count <= 1 + deaths), "{counts:?}");
}

#[tokio::test]
async fn a_pod_that_keeps_dying_does_not_stop_the_other() {
    const DEATHS: usize = 4;
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(4).await;
    let pods = Pods::of(topic.name(), folder.path()).soon_missed().with("WORKER__CONCURRENCY", "4");
    let mut sound = pods.start(TEST_WORKER);
    let mut dying = Supervised::start(&pods.clone().variable("ONCEWISE_CRASH", "after_claim:10"));
    let mut sent = 0;
    for death in 1..=DEATHS {
        let before = pods.effects().by(sound.pid());
        until("a death, and effects of the other pod meanwhile", PATIENCE, async || {
            topic.produce_all(neighbours(sent + 10).skip(sent)).await;
            sent += 10;
            dying.look();
            let effects = pods.effects().by(sound.pid()) - before;
            if dying.deaths >= death && effects > 0 { Ok(()) } else { Err((dying.deaths, effects, sent)) }
        })
        .await;
    }
    // Starting it again and again would only cost its partitions time.
    drop(dying.pod);
    pods.commit(&topic, sent as i64, PATIENCE).await;

    assert_eq!(sound.ended(), None, "the sound pod has died");
    let counts = pods.effects().counts();
    assert_eq!(counts.len(), sent, "lost events");
    assert!(counts.values().all(|count| *count <= 2 + DEATHS), "{counts:?}");
    assert_eq!(pods.letters(&topic).read().await, []);
}
