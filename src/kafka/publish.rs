//! Many records at once, acknowledged before it returns.

use std::time::Duration;

use rdkafka::producer::{FutureProducer, FutureRecord};

use super::{KafkaFault, client::KafkaClient, watcher::Watcher};

/// How long one record may take to be acknowledged.
const DELIVERY: Duration = Duration::from_secs(30);

/// Sends records of a key and a value, and waits until the broker has acknowledged every one.
///
/// # Errors
/// The first record that was not acknowledged.
pub(crate) async fn produce_all(
    client: &KafkaClient,
    topic: &str,
    records: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>,
) -> Result<(), KafkaFault> {
    let producer: FutureProducer<Watcher> =
        client.producer(DELIVERY).create_with_context(Watcher::default())?;
    let sent = records.into_iter().map(|(key, value)| {
        let producer = producer.clone();
        async move {
            let record = FutureRecord::to(topic).key(&key).payload(&value);
            producer.send(record, DELIVERY).await.map(drop).map_err(|(error, _)| KafkaFault::from(error))
        }
    });
    futures_util::future::try_join_all(sent).await.map(drop)
}
