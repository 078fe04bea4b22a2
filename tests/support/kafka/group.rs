//! What Kafka itself knows about a consumer group.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::topic_partition_list::Offset;
use tokio::process::Command;

use super::super::wait::until;
use super::{PATIENCE, TestTopic, blocking, client};

/// A line of Kafka's own tool about one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionLag {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The committed offset, if there is one.
    pub committed: Option<i64>,
    /// The next offset to be written.
    pub end: i64,
    /// How many records are not committed; unknown without a committed offset.
    pub lag: Option<i64>,
}

/// A group's coordinator may be on its way: the first group makes Kafka create the topic of the offsets.
fn ask(consumer: &BaseConsumer, places: &TopicPartitionList) -> TopicPartitionList {
    let began = std::time::Instant::now();
    loop {
        match consumer.committed_offsets(places.clone(), PATIENCE) {
            Ok(places) => return places,
            Err(error) if began.elapsed() > PATIENCE => panic!("the group's offsets: {error}"),
            Err(_) => std::thread::yield_now(),
        }
    }
}

/// The group's committed offset and metadata for each partition of a topic that has one.
pub async fn committed(group: &str, topic: &TestTopic) -> BTreeMap<i32, (i64, String)> {
    let mut config = client(topic.brokers());
    config.set("group.id", group);
    let (name, partitions) = (topic.name().to_owned(), topic.partitions().await.expect("a topic"));
    blocking(move || {
        let consumer: BaseConsumer = config.create().expect("a consumer");
        let mut places = TopicPartitionList::new();
        places.add_partition_range(&name, 0, partitions - 1);
        let places = ask(&consumer, &places);
        let known = places.elements().into_iter().filter_map(|place| match place.offset() {
            Offset::Offset(offset) => Some((place.partition(), (offset, place.metadata().to_owned()))),
            _ => None,
        });
        known.collect()
    })
    .await
}

/// Waits until the group has committed the end of every partition.
pub async fn all_committed(group: &str, topic: &TestTopic, deadline: Duration) {
    let partitions = topic.partitions().await.expect("a topic");
    until(&format!("{group} to commit all of {}", topic.name()), deadline, async || {
        let committed = committed(group, topic).await;
        for partition in 0..partitions {
            let (_, end) = topic.watermarks(partition).await;
            if committed.get(&partition).map(|(offset, _)| *offset) != Some(end) {
                return Err(format!("partition {partition} ends at {end}; committed: {committed:?}"));
            }
        }
        Ok(())
    })
    .await;
}

/// Moves the committed offset of a group without members, as Kafka's tool does.
pub async fn move_offset(group: &str, topic: &TestTopic, partition: i32, offset: i64) {
    move_offset_with(group, topic, partition, offset, "").await;
}

/// The same with metadata, as other software does. The group's coordinator may be on its way.
pub async fn move_offset_with(group: &str, topic: &TestTopic, partition: i32, offset: i64, metadata: &str) {
    let mut config = client(topic.brokers());
    config.set("group.id", group);
    until("an offset to move", PATIENCE, async || {
        let (config, name, metadata) = (config.clone(), topic.name().to_owned(), metadata.to_owned());
        blocking(move || {
            let consumer: BaseConsumer = config.create().expect("a consumer");
            let mut place = TopicPartitionList::new();
            let mut element = place.add_partition(&name, partition);
            element.set_offset(Offset::Offset(offset)).expect("an offset");
            element.set_metadata(metadata);
            consumer.commit(&place, CommitMode::Sync).map_err(|error| error.to_string())
        })
        .await
    })
    .await;
}

/// Joins the group for a moment and commits these offsets, by partition, whoever has the partitions: Kafka asks only
/// whether it is a member who commits.
pub async fn commit_as_a_member(group: &str, topic: &TestTopic, offsets: &[(i32, i64)]) {
    let mut config = client(topic.brokers());
    config.set("group.id", group).set("partition.assignment.strategy", "cooperative-sticky");
    config.set("enable.auto.commit", "false");
    let mut places = TopicPartitionList::new();
    for (partition, offset) in offsets {
        places.add_partition_offset(topic.name(), *partition, Offset::Offset(*offset)).expect("a place");
    }
    let name = topic.name().to_owned();
    blocking(move || {
        let consumer: BaseConsumer = config.create().expect("a consumer");
        consumer.subscribe(&[&name]).expect("a subscription");
        let began = std::time::Instant::now();
        loop {
            drop(consumer.poll(Duration::from_millis(50)));
            let is_member = consumer.assignment().expect("an assignment").count() > 0;
            match is_member.then(|| consumer.commit(&places, CommitMode::Sync)) {
                Some(Ok(())) => break,
                other => assert!(began.elapsed() < 2 * PATIENCE, "no commit as a member: {other:?}"),
            }
        }
    })
    .await;
}

/// Deletes a group and its offsets as soon as Kafka has seen its last member leave.
pub async fn delete_group(group: &str, topic: &TestTopic) {
    until(&format!("Kafka to delete {group}"), PATIENCE, async || topic.delete_group(group).await).await;
}

/// Looks at a group's committed offsets all the time.
#[derive(Debug)]
pub struct Commits {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<String>>,
}

impl Commits {
    /// Begins to look.
    pub async fn watch(group: &str, topic: &TestTopic) -> Commits {
        let mut config = client(topic.brokers());
        config.set("group.id", group);
        let (name, partitions) = (topic.name().to_owned(), topic.partitions().await.expect("a topic"));
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let consumer: BaseConsumer = config.create().expect("a consumer");
            let mut places = TopicPartitionList::new();
            places.add_partition_range(&name, 0, partitions - 1);
            let (mut seen, mut rewound) = (BTreeMap::new(), Vec::new());
            while !stopped.load(Ordering::Relaxed) {
                for place in ask(&consumer, &places).elements() {
                    let (partition, now) = (place.partition(), place.offset().to_raw().unwrap_or(-1));
                    if let Some(before) = seen.insert(partition, now)
                        && now < before
                    {
                        rewound.push(format!("partition {partition}: {before} → {now}"));
                    }
                }
                std::thread::yield_now();
            }
            assert!(!seen.is_empty(), "nothing was looked at");
            rewound
        });
        Commits { stop, thread }
    }

    /// Every committed offset that went back since.
    pub async fn rewound(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        blocking(move || self.thread.join().expect("the commits watched")).await
    }
}

/// The group's lag on the shared brokers as `kafka-consumer-groups --describe` tells it, in some three seconds.
/// Empty for a group that Kafka does not know.
pub async fn group_lag(group: &str) -> Vec<PartitionLag> {
    let classpath = super::super::service("ONCEWISE_TEST_KAFKA_CLASSPATH");
    let mut java = Command::new("java");
    java.args(["-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp", &classpath]);
    java.arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=error");
    java.arg("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand");
    java.args(["--bootstrap-server", &super::brokers(), "--describe", "--group", group]).kill_on_drop(true);
    let answer = java.output().await.expect("Kafka's consumer group tool");
    let [said, complaint] =
        [answer.stdout, answer.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    if complaint.contains("GroupIdNotFoundException") {
        return Vec::new();
    }
    parse(&said)
        .unwrap_or_else(|problem| panic!("Kafka's tool on group {group}: {problem}\n{said}{complaint}"))
}

/// Reads the table by the names of its columns.
fn parse(said: &str) -> Result<Vec<PartitionLag>, String> {
    let mut lines = said.lines().skip_while(|line| !line.starts_with("GROUP "));
    let titles: Vec<&str> = lines.next().ok_or("no table")?.split_whitespace().collect();
    let column = |title: &str| titles.iter().position(|t| *t == title).ok_or(format!("no column {title}"));
    let (topic, partition) = (column("TOPIC")?, column("PARTITION")?);
    let (committed, end, lag) = (column("CURRENT-OFFSET")?, column("LOG-END-OFFSET")?, column("LAG")?);
    let rows = lines.filter(|line| !line.trim().is_empty()).map(|line| {
        let cells: Vec<&str> = line.split_whitespace().collect();
        let cell = |at: usize| cells.get(at).copied().ok_or(format!("a short line {line:?}"));
        let number = |at: usize| match cell(at)? {
            "-" => Ok(None),
            text => text.parse::<i64>().map(Some).map_err(|_| format!("{text:?} in {line:?}")),
        };
        Ok(PartitionLag {
            topic: cell(topic)?.to_owned(),
            partition: number(partition)?.ok_or("a line without a partition")? as i32,
            committed: number(committed)?,
            end: number(end)?.ok_or("a line without an end")?,
            lag: number(lag)?,
        })
    });
    let mut rows = rows.collect::<Result<Vec<_>, String>>()?;
    rows.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
    Ok(rows)
}
