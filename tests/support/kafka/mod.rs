//! Topics, records and groups of a real Kafka, as seen from outside of the code under test.

mod group;
mod headers;
mod record;
mod timeless;
mod topic;

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::metadata::Metadata;

pub use group::{
    Commits, PartitionLag, all_committed, commit_as_a_member, committed, delete_group, group_lag,
    move_offset, move_offset_with,
};
pub use headers::Header;
pub use record::{ReadRecord, Record};
pub use topic::TestTopic;

/// How long anything that Kafka should do at once may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// The brokers that `tests/run` started.
pub fn brokers() -> String {
    super::service("ONCEWISE_TEST_BROKERS")
}

/// The same brokers at the listener that wants user `worker` and password `right-password` (`SASL_PLAINTEXT`, `PLAIN`).
pub fn brokers_sasl() -> String {
    super::service("ONCEWISE_TEST_BROKERS_SASL")
}

/// Whether `brokers` answers.
pub async fn answers(brokers: &str) -> Result<(), String> {
    metadata(brokers, None, Duration::from_secs(2)).await.map(drop)
}

fn client(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("allow.auto.create.topics", "false");
    // A client that waits for a broker to come up says so once, in its error, not in a hundred log lines.
    config.set_log_level(rdkafka::config::RDKafkaLogLevel::Emerg);
    config
}

async fn metadata(brokers: &str, topic: Option<&str>, patience: Duration) -> Result<Metadata, String> {
    let (config, topic) = (client(brokers), topic.map(str::to_owned));
    blocking(move || {
        let consumer: BaseConsumer = config.create().map_err(|error| error.to_string())?;
        consumer.fetch_metadata(topic.as_deref(), patience).map_err(|error| error.to_string())
    })
    .await
}

/// Runs what blocks where it does not hold up the workers of the test's own runtime.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("blocking work")
}
