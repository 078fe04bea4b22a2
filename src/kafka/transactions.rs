//! Records that are written all together or not at all, by one at a time of all who use the same name.

use std::{fmt, time::Duration};

use rdkafka::{
    error::{KafkaError, RDKafkaErrorCode as Code},
    producer::{BaseRecord, Producer, ThreadedProducer},
};

use super::{KafkaFault, client::KafkaClient, headers, watcher::Watcher};
use crate::{crash::crash_point, pipeline::NewRecord};

/// How long the broker may take for each answer. What a killed process has begun is undone after that, and whoever
/// reads its topics waits for it until then.
const PATIENCE: Duration = Duration::from_secs(20);
/// A full queue drains by itself.
const QUEUE_FULL_PAUSE: Duration = Duration::from_millis(5);

/// A producer whose writes are transactions. Whoever opens one of the same name ends the transaction of whoever had it
/// before, and takes the name away from them.
pub(crate) struct Transactions {
    producer: ThreadedProducer<Watcher>,
}

/// Why nothing was written, or nobody knows whether it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TransactionError {
    /// Who opens one of the same name finds out what was written, and can go on.
    #[error("{0}")]
    OpenAgain(KafkaFault),
    /// Nothing was written, and it would be no better another time.
    #[error("{0}")]
    Refused(KafkaFault),
}

impl Transactions {
    /// Takes the name. What another has begun under it is over, one way or the other, when this returns. Blocks.
    ///
    /// # Errors
    /// Nobody answers, or lets us.
    pub(crate) fn open(client: &KafkaClient, name: &str) -> Result<Self, KafkaFault> {
        let mut config = client.producer(PATIENCE);
        config.set("transactional.id", name);
        config.set("transaction.timeout.ms", PATIENCE.as_millis().to_string());
        let watcher = Watcher::default();
        let producer: ThreadedProducer<Watcher> = config.create_with_context(watcher.clone())?;
        producer
            .init_transactions(PATIENCE)
            .map_err(|error| watcher.explain(error, &client.brokers, PATIENCE))
            .map_err(|fault| fault.wanting("Write", format!("transactional id {name}")))?;
        Ok(Self { producer })
    }

    /// Writes these records, all or none. Blocks.
    ///
    /// # Errors
    /// They are not there, or nobody knows; the error says which.
    pub(crate) fn write(&self, records: &[NewRecord]) -> Result<(), TransactionError> {
        let again = |error: KafkaError| TransactionError::OpenAgain(error.into());
        self.producer.begin_transaction().map_err(again)?;
        for record in records {
            if let Err(error) = self.send(record) {
                drop(self.producer.abort_transaction(PATIENCE));
                return Err(refused_or_again(error));
            }
        }
        crash_point("before_transaction");
        match self.producer.commit_transaction(PATIENCE) {
            Ok(()) => Ok(()),
            Err(error) => {
                drop(self.producer.abort_transaction(PATIENCE));
                Err(refused_or_again(error))
            }
        }
    }

    fn send(&self, record: &NewRecord) -> Result<(), KafkaError> {
        loop {
            let mut message =
                BaseRecord::<[u8], [u8]>::to(&record.topic).headers(headers::write(&record.headers));
            message.partition = record.partition;
            message.key = record.key.as_deref();
            message.payload = record.value.as_deref();
            message.timestamp = record.timestamp;
            match self.producer.send(message) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(Code::QueueFull), _)) => {
                    std::thread::sleep(QUEUE_FULL_PAUSE)
                }
                Err((error, _)) => return Err(error),
            }
        }
    }
}

/// What the broker will say every time is not asked for again.
fn refused_or_again(error: KafkaError) -> TransactionError {
    use Code::{
        ClusterAuthorizationFailed, InvalidTimestamp, MessageBatchTooLarge, MessageSizeTooLarge,
        TopicAuthorizationFailed, TransactionalIdAuthorizationFailed,
    };
    let for_ever = [
        MessageSizeTooLarge,
        MessageBatchTooLarge,
        InvalidTimestamp,
        TopicAuthorizationFailed,
        TransactionalIdAuthorizationFailed,
        ClusterAuthorizationFailed,
    ];
    let is_for_ever = error.rdkafka_error_code().is_some_and(|code| for_ever.contains(&code));
    let fault = KafkaFault::from(error);
    if is_for_ever { TransactionError::Refused(fault) } else { TransactionError::OpenAgain(fault) }
}

impl fmt::Debug for Transactions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transactions").finish_non_exhaustive()
    }
}
