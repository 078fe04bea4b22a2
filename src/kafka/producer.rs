//! Dead letters on their way: sent, and acknowledged by all replicas before anything goes on.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use rdkafka::{
    error::{KafkaError, RDKafkaErrorCode},
    producer::{FutureProducer, FutureRecord, Producer},
    util::Timeout,
};
use tokio::sync::RwLock;

use super::{KafkaFault, client::KafkaClient, headers, watcher::Watcher};
use crate::pipeline::{DeadLetters, Letter, LetterError};

/// Sends letters with `acks=all` and idempotence. One producer serves every service of the process.
pub(crate) struct LetterProducer {
    client: KafkaClient,
    delivery_timeout: Duration,
    /// Replaced when it has failed for good.
    producer: RwLock<FutureProducer<Watcher>>,
}

impl LetterProducer {
    /// A producer that reports a letter as not delivered after `delivery_timeout`.
    ///
    /// # Errors
    /// A configuration that Kafka's client refuses.
    pub(crate) fn new(client: KafkaClient, delivery_timeout: Duration) -> Result<Self, KafkaFault> {
        let producer =
            RwLock::new(client.producer(delivery_timeout).create_with_context(Watcher::default())?);
        Ok(Self { client, delivery_timeout, producer })
    }

    /// Sends and waits for the acknowledgement. Where the topic of the letters is not like that of the record,
    /// the letter gives up its place or its time (a header has it) rather than being stuck for ever.
    async fn deliver(&self, letter: &Letter) -> Result<(), KafkaError> {
        let (mut partition, mut timestamp) = (Some(letter.partition), letter.timestamp);
        loop {
            match self.produce(letter, partition, timestamp).await {
                Err(KafkaError::MessageProduction(RDKafkaErrorCode::UnknownPartition))
                    if partition.is_some() =>
                {
                    partition = None;
                }
                Err(KafkaError::MessageProduction(RDKafkaErrorCode::InvalidTimestamp))
                    if timestamp.is_some() =>
                {
                    timestamp = None;
                }
                done => return done,
            }
        }
    }

    async fn produce(
        &self,
        letter: &Letter,
        partition: Option<i32>,
        timestamp: Option<i64>,
    ) -> Result<(), KafkaError> {
        let mut record =
            FutureRecord::<[u8], [u8]>::to(&letter.topic).headers(headers::write(&letter.headers));
        record.partition = partition;
        record.key = letter.key.as_deref();
        record.payload = letter.value.as_deref();
        record.timestamp = timestamp;
        let producer = self.producer.read().await.clone();
        let sent = producer.send(record, Timeout::After(self.delivery_timeout)).await;
        sent.map(drop).map_err(|(error, _)| error)
    }

    /// An idempotent producer that failed for good refuses everything from then on.
    async fn replace_if_broken(&self) {
        let mut producer = self.producer.write().await;
        if producer.client().fatal_error().is_none() {
            return;
        }
        match self.client.producer(self.delivery_timeout).create_with_context(Watcher::default()) {
            Ok(fresh) => *producer = fresh,
            Err(error) => tracing::error!(%error, "no new producer for dead letters"),
        }
    }
}

#[async_trait]
impl DeadLetters for LetterProducer {
    async fn send(&self, letter: &Letter) -> Result<(), LetterError> {
        let Err(error) = self.deliver(letter).await else { return Ok(()) };
        self.replace_if_broken().await;
        let text = KafkaFault::from(error.clone()).to_string();
        Err(match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::MessageBatchTooLarge) => {
                LetterError::TooLarge(text)
            }
            _ => LetterError::Fault(text),
        })
    }
}

impl fmt::Debug for LetterProducer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LetterProducer").field("client", &self.client).finish_non_exhaustive()
    }
}
