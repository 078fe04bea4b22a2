//! What becomes of records that cannot be handled, or not now.

use std::collections::BTreeMap;
use std::time::Duration;

use super::rig::{PATIENCE, Rig, STALL, passes};
use crate::support::kafka::{Record, TestTopic};
use crate::support::kafka_server::KafkaServer;
use crate::support::proxy::Direction;
use crate::support::wait::until;

/// How many letters there are of each record, by `partition/offset`.
async fn letters(rig: &Rig) -> BTreeMap<String, usize> {
    let mut letters = BTreeMap::new();
    for letter in rig.letters().read().await {
        let header = |name: &str| letter.header(&format!("oncewise-original-{name}")).unwrap();
        *letters.entry(format!("{}/{}", header("partition"), header("offset"))).or_default() += 1;
    }
    letters
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_50_letters_whose_acknowledgements_are_held_or_lost_arrive_at_most_twice() {
    let (kafka, proxy) = KafkaServer::start_behind_a_proxy().await;
    let rig = Rig::on(TestTopic::at(&kafka.brokers(), "events"), 2).await;
    let mut rig = rig
        .with("KAFKA__BROKERS", &proxy.address())
        .with("KAFKA__PROPERTIES__SESSION_TIMEOUT_MS", "30000")
        .with("WORKER__CONCURRENCY", "4")
        .with("DEAD_LETTER__DELIVERY_TIMEOUT", "4s");
    let mut pod = rig.start();
    let reject = |_| r#","sleep_ms":50,"reject":true"#.to_owned();
    rig.send(20, reject).await;
    rig.pods.commit(&rig.topic, 20, PATIENCE).await;
    for lose in [false, true] {
        let attempted = rig.pods.attempts().all().len();
        rig.send(400, reject).await;
        until("some of them to be refused", PATIENCE, async || match rig.pods.attempts().all().len() {
            attempts if attempts > attempted + 20 => Ok(()),
            attempts => Err(attempts),
        })
        .await;
        if lose {
            proxy.lose_replies(true);
        } else {
            proxy.hold(Direction::Back, true);
        }
        // Longer than a letter may take.
        passes(Duration::from_secs(9)).await;
        if lose {
            proxy.cut_open_connections();
            proxy.lose_replies(false);
        } else {
            proxy.hold(Direction::Back, false);
        }
        rig.pods.commit(&rig.topic, i64::try_from(rig.sent).unwrap(), 2 * STALL).await;
    }
    pod.says("the dead letter is not there yet", PATIENCE).await;
    let letters = letters(&rig).await;
    assert_eq!(letters.len(), rig.sent, "lost letters");
    let often: Vec<_> = letters.iter().filter(|(_, count)| **count > 2).collect();
    let doubled = letters.values().filter(|count| **count == 2).count();
    println!("{doubled} of {} letters are there twice", letters.len());
    assert!(often.is_empty(), "{often:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_51_deep_and_huge_json_ends_in_a_letter_and_its_neighbours_proceed() {
    let mut rig = Rig::new(1).await;
    rig.topic.alter("max.message.bytes", "6000000").await;
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let odd = [
        deep.clone(),
        format!(r#"{{"id":"deep","publish":{deep}}}"#),
        format!(r#"{{"id":{}}}"#, "9".repeat(100_000)),
        "{\"id\":\"\u{0}\\ud800\"}".to_owned(),
        "x".repeat(5_000_000),
    ];
    rig.load(5, 0).await;
    rig.topic.produce_all(odd.iter().map(|value| Record::new("odd", value).to(0))).await;
    rig.load(5, 0).await;
    let pod = rig.start();
    rig.pods.commit(&rig.topic, 15, PATIENCE).await;
    let counts = rig.pods.effects().counts();
    assert!(counts.len() == rig.sent && counts.values().all(|count| *count == 1), "{counts:?}");
    let values: Vec<_> = rig.letters().read().await.into_iter().map(|letter| letter.value_text()).collect();
    assert_eq!(values.len(), odd.len());
    assert!(values == odd, "letters are not the records byte for byte");
    drop(pod);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_55_while_everything_fails_nothing_is_lost_and_what_comes_is_bounded() {
    let rig = Rig::new(2).await;
    let mut rig = rig.with("RETRY__MAX_ATTEMPTS", "30").with("RETRY__MAX_DELAY", "5s");
    // What is asked of a service that is down for a while: each of its first calls fails.
    rig.send(300, |_| r#","fail":9,"retry_after_ms":2000"#.to_owned()).await;
    let pod = rig.start();
    until("the first attempts", PATIENCE, async || match rig.pods.attempts().all().len() {
        attempts if attempts >= 300 => Ok(()),
        attempts => Err(attempts),
    })
    .await;
    rig.load(100, 0).await;
    // They wait for two seconds nine times: nothing takes effect again before, and nothing gets a letter.
    rig.settles_once().await;
    assert!(rig.pods.attempts().counts().iter().all(|(_, count)| [1, 10].contains(count)));
    drop(pod);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_56_one_poison_in_twenty_holds_up_nobody_else() {
    let mut rig = Rig::new(3).await.with("RETRY__MAX_ATTEMPTS", "3");
    let poison = |n: usize| match n % 60 {
        0 => r#","reject":true"#,
        20 => r#","fail":9"#,
        40 => r#","panic":9"#,
        _ => r#","sleep_ms":5"#,
    };
    rig.send(6000, |n| poison(n).to_owned()).await;
    let pods = [rig.start(), rig.start_another()];
    rig.pods.commit(&rig.topic, 6000, 4 * PATIENCE).await;
    let (counts, letters) = (rig.pods.effects().counts(), letters(&rig).await);
    assert_eq!((counts.len(), letters.len()), (5700, 300));
    assert!(counts.values().chain(letters.values()).all(|count| *count == 1), "{counts:?} {letters:?}");
    drop(pods);
}
