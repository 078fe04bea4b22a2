//! What Kafka itself knows about a consumer group.

use std::collections::BTreeMap;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::Offset;
use tokio::process::Command;

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
