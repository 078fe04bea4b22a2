//! Records on their way out: sent, and acknowledged by all replicas before anything goes on.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use rdkafka::{
    error::{KafkaError, RDKafkaErrorCode},
    producer::{DeliveryFuture, FutureProducer, FutureRecord, Producer as _},
};
use tokio::{sync::RwLock, time::Instant};

use super::{KafkaFault, client::KafkaClient, headers, watcher::Watcher};
use crate::pipeline::{NewRecord, ProduceError, Producer};

/// A full queue drains by itself.
const QUEUE_FULL_PAUSE: Duration = Duration::from_millis(5);

/// Sends records with `acks=all` and idempotence. One producer serves every service of the process.
pub(crate) struct RecordProducer {
    client: KafkaClient,
    delivery_timeout: Duration,
    /// Replaced when it has failed for good.
    producer: RwLock<FutureProducer<Watcher>>,
}

/// A record that has been sent, and what it gave up to be.
struct Sent<'a> {
    record: &'a NewRecord,
    partition: Option<i32>,
    timestamp: Option<i64>,
    delivery: DeliveryFuture,
}

impl RecordProducer {
    /// A producer that reports a record as not delivered after `delivery_timeout`.
    ///
    /// # Errors
    /// A configuration that Kafka's client refuses.
    pub(crate) fn new(client: KafkaClient, delivery_timeout: Duration) -> Result<Self, KafkaFault> {
        let producer =
            RwLock::new(client.producer(delivery_timeout).create_with_context(Watcher::default())?);
        Ok(Self { client, delivery_timeout, producer })
    }

    /// Sends all, in order, before it waits for the first answer.
    async fn deliver<'a>(&self, records: &'a [NewRecord]) -> Result<(), (&'a NewRecord, KafkaError)> {
        let mut sent = Vec::with_capacity(records.len());
        for record in records {
            let queued = self.enqueue(record, record.partition, record.timestamp).await;
            sent.push(queued.map_err(|error| (record, error))?);
        }
        for sent in sent {
            let record = sent.record;
            self.acknowledged(sent).await.map_err(|error| (record, error))?;
        }
        Ok(())
    }

    /// Where the topic is not as the record says, the record gives up its place or its time (a letter has them in
    /// headers) rather than being stuck for ever.
    async fn enqueue<'a>(
        &self,
        record: &'a NewRecord,
        mut partition: Option<i32>,
        timestamp: Option<i64>,
    ) -> Result<Sent<'a>, KafkaError> {
        let full_until = Instant::now() + self.delivery_timeout;
        let producer = self.producer.read().await.clone();
        loop {
            let mut message =
                FutureRecord::<[u8], [u8]>::to(&record.topic).headers(headers::write(&record.headers));
            message.partition = partition;
            message.key = record.key.as_deref();
            message.payload = record.value.as_deref();
            message.timestamp = timestamp;
            match producer.send_result(message) {
                Ok(delivery) => return Ok(Sent { record, partition, timestamp, delivery }),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _))
                    if Instant::now() < full_until =>
                {
                    tokio::time::sleep(QUEUE_FULL_PAUSE).await;
                }
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::UnknownPartition), _))
                    if partition.is_some() =>
                {
                    partition = None;
                }
                Err((error, _)) => return Err(error),
            }
        }
    }

    async fn acknowledged(&self, mut sent: Sent<'_>) -> Result<(), KafkaError> {
        loop {
            let refusal = match sent.delivery.await {
                Ok(Ok(_)) => return Ok(()),
                Ok(Err((refusal, _))) => refusal,
                Err(_) => return Err(KafkaError::Canceled),
            };
            let (partition, timestamp) = match refusal {
                KafkaError::MessageProduction(RDKafkaErrorCode::UnknownPartition)
                    if sent.partition.is_some() =>
                {
                    (None, sent.timestamp)
                }
                KafkaError::MessageProduction(RDKafkaErrorCode::InvalidTimestamp)
                    if sent.timestamp.is_some() =>
                {
                    (sent.partition, None)
                }
                refusal => return Err(refusal),
            };
            sent = self.enqueue(sent.record, partition, timestamp).await?;
        }
    }

    /// An idempotent producer that failed for good refuses everything from then on.
    async fn replace_if_broken(&self) {
        let mut producer = self.producer.write().await;
        if producer.client().fatal_error().is_none() {
            return;
        }
        match self.client.producer(self.delivery_timeout).create_with_context(Watcher::default()) {
            Ok(fresh) => *producer = fresh,
            Err(error) => tracing::error!(%error, "no new producer"),
        }
    }
}

#[async_trait]
impl Producer for RecordProducer {
    async fn send(&self, records: &[NewRecord]) -> Result<(), ProduceError> {
        let Err((record, error)) = self.deliver(records).await else { return Ok(()) };
        self.replace_if_broken().await;
        let about = format!("topic {}", record.topic);
        let text = KafkaFault::from(error.clone()).wanting("Write", about).to_string();
        Err(match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::MessageBatchTooLarge) => {
                ProduceError::TooLarge(text)
            }
            _ => ProduceError::Fault(text),
        })
    }
}

impl fmt::Debug for RecordProducer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordProducer").field("client", &self.client).finish_non_exhaustive()
    }
}
