//! Many records, one after the other, in bounded memory.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use rdkafka::{
    error::{KafkaError, RDKafkaErrorCode as Code},
    producer::{DeliveryFuture, FutureProducer, FutureRecord},
};

use super::{KafkaFault, client::KafkaClient, headers, watcher::Watcher};
use crate::pipeline::NewRecord;

/// How long one record may take to be acknowledged.
const DELIVERY: Duration = Duration::from_secs(30);
/// Records on their way at the same time: far more than a broker needs to be busy.
const MOST: usize = 10_000;
/// Bytes of keys and values on their way at the same time.
const MOST_BYTES: usize = 64 * 1024 * 1024;

/// How long the library may take to free a place, in moments.
const FREED_AFTER: usize = 1000;
const A_MOMENT: Duration = Duration::from_millis(1);

/// Records on their way, each with a note of the sender's that comes back with its acknowledgement. Those of one
/// partition arrive in the order in which they were sent.
pub(crate) struct Outflow<T> {
    producer: FutureProducer<Watcher>,
    on_the_way: FuturesUnordered<OnTheWay<T>>,
    bytes: usize,
}

struct OnTheWay<T> {
    delivery: DeliveryFuture,
    bytes: usize,
    note: Option<T>,
}

impl<T: Unpin> Future for OnTheWay<T> {
    /// The note and the bytes; an error where nobody knows of an acknowledgement.
    type Output = (Result<Option<T>, KafkaError>, usize);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = match ready!(Pin::new(&mut self.delivery).poll(context)) {
            Ok(Ok(_)) => Ok(self.note.take()),
            Ok(Err((error, _))) => Err(error),
            Err(_) => Err(KafkaError::Canceled),
        };
        Poll::Ready((answer, self.bytes))
    }
}

impl<T: Unpin> Outflow<T> {
    /// Nothing on its way yet.
    ///
    /// # Errors
    /// A configuration that Kafka's client refuses.
    pub(crate) fn new(client: &KafkaClient) -> Result<Self, KafkaFault> {
        let producer = client.producer(DELIVERY).create_with_context(Watcher::default())?;
        Ok(Self { producer, on_the_way: FuturesUnordered::new(), bytes: 0 })
    }

    /// Sends a record, and hands its note back while too much is on its way: then one has to be acknowledged first.
    ///
    /// # Errors
    /// The record can never be sent.
    pub(crate) fn send(&mut self, record: &NewRecord, note: T) -> Result<Option<T>, KafkaFault> {
        if self.on_the_way.len() >= MOST || self.bytes >= MOST_BYTES {
            return Ok(Some(note));
        }
        let mut message =
            FutureRecord::<[u8], [u8]>::to(&record.topic).headers(headers::write(&record.headers));
        (message.partition, message.timestamp) = (record.partition, record.timestamp);
        (message.key, message.payload) = (record.key.as_deref(), record.value.as_deref());
        let mut sent = self.producer.send_result(message);
        // The library frees a place a moment after it has answered for it: with nothing on its way that is all there
        // is to wait for.
        for _ in 0..FREED_AFTER {
            match sent {
                Err((KafkaError::MessageProduction(Code::QueueFull), message)) if self.is_empty() => {
                    std::thread::sleep(A_MOMENT);
                    sent = self.producer.send_result(message);
                }
                _ => break,
            }
        }
        match sent {
            Ok(delivery) => {
                let length = |part: &Option<bytes::Bytes>| part.as_ref().map_or(0, bytes::Bytes::len);
                let bytes = length(&record.key) + length(&record.value);
                self.bytes += bytes;
                self.on_the_way.push(OnTheWay { delivery, bytes, note: Some(note) });
                Ok(None)
            }
            Err((KafkaError::MessageProduction(Code::QueueFull), _)) if !self.is_empty() => Ok(Some(note)),
            Err((error, _)) => Err(error.into()),
        }
    }

    /// Waits for the next acknowledgement and answers its note; `None` when nothing is on its way.
    ///
    /// # Errors
    /// One record was not acknowledged in time, or refused.
    pub(crate) async fn acknowledged(&mut self) -> Result<Option<T>, KafkaFault> {
        let Some((answer, bytes)) = self.on_the_way.next().await else { return Ok(None) };
        self.bytes -= bytes;
        Ok(answer?)
    }

    /// Whether everything that was sent has its answer.
    pub(crate) fn is_empty(&self) -> bool {
        self.on_the_way.is_empty()
    }
}

impl<T> fmt::Debug for Outflow<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outflow").field("on_the_way", &self.on_the_way.len()).finish_non_exhaustive()
    }
}

/// Sends records of a key and a value, and waits until the broker has acknowledged every one.
///
/// # Errors
/// The first record that was not acknowledged.
pub(crate) async fn produce_all(
    client: &KafkaClient,
    topic: &str,
    records: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>,
) -> Result<(), KafkaFault> {
    let mut outflow = Outflow::new(client)?;
    for (key, value) in records {
        let (key, value) = (Some(key.into()), Some(value.into()));
        let (topic, headers) = (topic.to_owned(), Vec::new());
        let record = NewRecord { topic, partition: None, timestamp: None, key, value, headers };
        while outflow.send(&record, ())?.is_some() {
            outflow.acknowledged().await?;
        }
    }
    while !outflow.is_empty() {
        outflow.acknowledged().await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::kafka::EmbeddedBroker;

    fn record(bytes: usize) -> NewRecord {
        let value = Some(Bytes::from(vec![b'x'; bytes]));
        NewRecord {
            topic: "things".to_owned(),
            partition: None,
            timestamp: None,
            key: None,
            value,
            headers: vec![],
        }
    }

    #[tokio::test]
    async fn every_note_comes_back_once_and_no_more_are_on_their_way_than_allowed() {
        let broker = EmbeddedBroker::start(&[("things", 2)]).expect("a broker");
        let mut outflow = Outflow::new(&KafkaClient::new(broker.brokers())).expect("a producer");
        let (mut back, mut waited) = (Vec::new(), 0);
        for number in 0..2 * MOST {
            while outflow.send(&record(10), number).expect("taken").is_some() {
                assert_eq!(outflow.on_the_way.len(), MOST);
                back.extend(outflow.acknowledged().await.expect("acknowledged"));
                waited += 1;
            }
        }
        while !outflow.is_empty() {
            back.extend(outflow.acknowledged().await.expect("acknowledged"));
        }
        assert!(waited > 0, "nothing had to wait");
        assert_eq!(outflow.bytes, 0);
        back.sort_unstable();
        assert!(back.iter().copied().eq(0..2 * MOST), "{} came back", back.len());
    }

    #[tokio::test]
    async fn a_few_large_records_fill_it_too() {
        let broker = EmbeddedBroker::start(&[("things", 1)]).expect("a broker");
        let mut client = KafkaClient::new(broker.brokers());
        // Nothing leaves before it is looked at.
        client.properties.insert("linger.ms".to_owned(), "20000".to_owned());
        let mut outflow = Outflow::new(&client).expect("a producer");
        let large = record(MOST_BYTES / 4);
        for number in 0..4 {
            assert_eq!(outflow.send(&large, number).expect("taken"), None);
        }
        assert_eq!(outflow.send(&large, 4).expect("asked to wait"), Some(4));
    }

    #[tokio::test]
    async fn a_full_queue_of_the_library_asks_to_wait() {
        let broker = EmbeddedBroker::start(&[("things", 1)]).expect("a broker");
        let mut client = KafkaClient::new(broker.brokers());
        client.properties.insert("queue.buffering.max.messages".to_owned(), "2".to_owned());
        let mut outflow = Outflow::new(&client).expect("a producer");
        let mut waited = 0;
        for number in 0..20 {
            while outflow.send(&record(1), number).expect("taken").is_some() {
                outflow.acknowledged().await.expect("acknowledged");
                waited += 1;
            }
        }
        assert!(waited > 0, "two fit, twenty do not");
    }
}
