//! Which topics there are.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use rdkafka::{
    consumer::{BaseConsumer, Consumer},
    metadata::MetadataTopic,
};

use super::{KafkaFault, client::KafkaClient, watcher::Watcher};

/// How long Kafka may take to answer.
const ANSWERS: Duration = Duration::from_secs(10);

/// The names of all topics that this user may know of. Blocks.
///
/// # Errors
/// Nobody answers, or lets us ask.
pub(crate) fn topic_names(client: &KafkaClient) -> Result<BTreeSet<String>, KafkaFault> {
    let watcher = Watcher::default();
    let consumer: BaseConsumer<Watcher> = client.reader().create_with_context(watcher.clone())?;
    let began = Instant::now();
    let explain = |error| watcher.explain(error, &client.brokers, began.elapsed());
    let metadata = consumer.fetch_metadata(None, ANSWERS).map_err(explain)?;
    let is_there = |topic: &&MetadataTopic| topic.error().is_none();
    Ok(metadata.topics().iter().filter(is_there).map(|topic| topic.name().to_owned()).collect())
}
