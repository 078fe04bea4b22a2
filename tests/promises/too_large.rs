//! What is larger than is decoded goes to the dead letters as it is, and costs no memory.

use std::time::Duration;

use crate::{
    TEST_WORKER,
    support::{
        kafka::{Record, TestTopic},
        pod::Pods,
        wait::until,
    },
};

/// Records of 5 MB.
const LARGE: &[(&str, &str)] = &[("max.message.bytes", "6000000")];

/// What a process has in memory, in bytes.
fn resident(pid: u32) -> u64 {
    let pages = std::fs::read_to_string(format!("/proc/{pid}/statm")).unwrap();
    pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

/// A text that no compression makes smaller than half.
fn noise(bytes: usize) -> String {
    (0..bytes).map(|_| char::from(rand::random_range(b'a'..=b'z'))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_large_is_dead_lettered_undecoded_and_whole() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::with_config(1, LARGE).await;
    let pods = Pods::of(topic.name(), folder.path())
        .with("WORKER__MAX_RECORD_BYTES", "1MiB")
        .with("WORKER__MAX_HEADERS", "100")
        .with("WORKER__MAX_IN_FLIGHT_BYTES", "16MiB");
    let event = |id: &str| format!(r#"{{"id":"{id}"}}"#);
    let large =
        |id: &str| event(id).replace('}', &format!(r#","fingerprint":"{}"}}"#, "x".repeat(5_000_000)));
    let many = |count: u32| (0..count).map(|n| (b"n".to_vec(), Some(n.to_be_bytes().to_vec())));
    let pod = pods.start(TEST_WORKER);
    topic.produce(Record::new("a", event("first"))).await;
    pods.until_committed(&topic, 0, 1).await;
    let before = resident(pod.pid());

    let mut records = vec![
        Record { headers: many(100).collect(), ..Record::new("headers", event("allowed")) },
        Record { headers: many(101).collect(), ..Record::new("headers", event("headers")) },
        Record::new("k".repeat(1 << 20), event("key")),
        Record::new("deep", format!(r#"{{"id":{}"#, "[".repeat(10_000))),
    ];
    records.extend((0..40).map(|n| Record::new(format!("large-{n}"), large(&format!("large-{n}")))));
    records.push(Record::new("a", event("last")));
    // One after the other: the broker's own memory is not what is tested.
    for record in &records {
        topic.produce(record.clone()).await;
    }
    pods.until_committed(&topic, 0, 1 + records.len() as i64).await;
    let grown = resident(pod.pid()).saturating_sub(before);
    assert!(grown < 150 << 20, "200 MB have passed, and {} MB are held", grown >> 20);

    let effects: Vec<String> = pods.effects().counts().into_keys().collect();
    assert_eq!(effects, ["allowed", "first", "last"]);
    let letters = pods.letters(&topic).read().await;
    assert_eq!(letters.len(), records.len() - 2);
    for letter in &letters {
        let header = |name: &str| letter.header(&format!("oncewise-{name}")).unwrap();
        let record = &records[header("original-offset").parse::<usize>().unwrap() - 1];
        assert!(letter.key == record.key && letter.value == record.value, "{:?} is not whole", letter.key);
        let is_deep = record.key.as_deref() == Some(b"deep");
        let expected = if is_deep { ("undecodable", "JSON") } else { ("too-large", "`worker.max_") };
        assert_eq!((header("disposition").as_str(), header("attempts").as_str()), (expected.0, "0"));
        assert!(header("error").contains(expected.1), "{}", header("error"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_large_for_the_letters_too_leaves_its_coordinates() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::with_config(1, LARGE).await;
    let pods = Pods::of(topic.name(), folder.path()).with("WORKER__MAX_RECORD_BYTES", "1MiB");
    let _pod = pods.start(TEST_WORKER);
    let letters = pods.letters(&topic);
    until("the topic of the letters", Duration::from_secs(60), async || letters.partitions().await).await;
    letters.alter("max.message.bytes", "70000").await;
    topic.produce(Record::new("a", noise(2_000_000))).await;
    topic.produce(Record::new("a", r#"{"id":"behind"}"#)).await;
    pods.until_committed(&topic, 0, 2).await;
    assert_eq!(pods.effects().count("behind"), 1);
    let letters = letters.read().await;
    let [letter] = &letters[..] else { panic!("{letters:?}") };
    assert_eq!(
        (letter.value.as_ref(), letter.header("oncewise-disposition").as_deref()),
        (None, Some("too-large"))
    );
    assert_eq!(letter.header("oncewise-original-offset").as_deref(), Some("0"));
}
