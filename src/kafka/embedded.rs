//! A broker inside the process, for demonstrations and tests.

use std::{
    fmt,
    sync::mpsc::{self, Receiver, Sender},
    thread::{self, JoinHandle},
};

use rdkafka::{error::KafkaError, mocking::MockCluster};

use super::{FaultKind, KafkaClient, KafkaFault};

/// A broker inside the process, reachable for any Kafka client on this machine until it is dropped.
///
/// It serves groups, idempotent producers, headers and timestamps, and is no Kafka beyond that: everything is
/// in memory, **a partition keeps about 5 MB and drops its oldest records without a word**, topics cannot be
/// described, created or changed through it, offsets cannot be looked up by time, and transactions exist in
/// name only.
pub struct EmbeddedBroker {
    brokers: String,
    /// Dropped to end the thread.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl EmbeddedBroker {
    /// Starts a broker that holds these topics, each with so many partitions.
    ///
    /// # Errors
    /// [`FaultKind::Misconfigured`] for a topic that cannot be, [`FaultKind::Other`] where no port or thread
    /// is to be had.
    pub fn start(topics: &[(&str, i32)]) -> Result<Self, KafkaFault> {
        let topics: Vec<(String, i32)> =
            topics.iter().map(|(name, partitions)| ((*name).to_owned(), *partitions)).collect();
        let (stop, stopped) = mpsc::channel();
        let (started, ready) = mpsc::channel();
        // The cluster's handle must stay on the thread that made it.
        let thread = thread::Builder::new()
            .name("embedded-broker".to_owned())
            .spawn(move || serve(&topics, &started, &stopped))
            .map_err(|error| KafkaFault::new(FaultKind::Other, format!("embedded broker: {error}")))?;
        let brokers = ready.recv().unwrap_or_else(|_| {
            Err(KafkaFault::new(FaultKind::Other, "embedded broker: ended before it had started"))
        })?;
        Ok(Self { brokers, stop: Some(stop), thread: Some(thread) })
    }

    /// Its address, `host:port`.
    #[must_use]
    pub fn brokers(&self) -> &str {
        &self.brokers
    }

    /// A client of it, with nothing set beyond the framework's own choices.
    #[must_use]
    pub fn client(&self) -> KafkaClient {
        KafkaClient { tells_topic_ids: false, ..KafkaClient::new(&self.brokers) }
    }
}

fn serve(topics: &[(String, i32)], started: &Sender<Result<String, KafkaFault>>, stopped: &Receiver<()>) {
    let cluster = match cluster(topics) {
        Ok(cluster) => cluster,
        Err(fault) => {
            // Whoever asked may have gone; then nobody wants to know.
            started.send(Err(fault)).ok();
            return;
        }
    };
    if started.send(Ok(cluster.bootstrap_servers())).is_ok() {
        // Nothing is ever sent: this waits for the other end to be dropped.
        stopped.recv().ok();
    }
}

fn cluster(
    topics: &[(String, i32)],
) -> Result<MockCluster<'static, rdkafka::producer::DefaultProducerContext>, KafkaFault> {
    let fault = |error: KafkaError| KafkaFault::from(error).within("embedded broker");
    let cluster = MockCluster::new(1).map_err(fault)?;
    for (name, partitions) in topics {
        if *partitions < 1 {
            let text =
                format!("embedded broker: topic {name}: {partitions} partitions, but at least 1 is needed");
            return Err(KafkaFault::new(FaultKind::Misconfigured, text));
        }
        cluster
            .create_topic(name, *partitions, 1)
            .map_err(|error| fault(error).within(format!("topic {name}")))?;
    }
    Ok(cluster)
}

impl Drop for EmbeddedBroker {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::warn!("the embedded broker's thread panicked");
        }
    }
}

impl fmt::Debug for EmbeddedBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedBroker").field("brokers", &self.brokers).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{net::TcpStream, time::Duration};

    use rdkafka::consumer::{BaseConsumer, Consumer};

    use super::*;

    #[test]
    fn topics_have_their_partitions() {
        let broker = EmbeddedBroker::start(&[("one", 1), ("three", 3)]).expect("a broker");
        let consumer: BaseConsumer = broker.client().consumer("group").create().expect("a consumer");
        let metadata = consumer.fetch_metadata(None, Duration::from_secs(30)).expect("metadata");
        let mut found: Vec<_> =
            metadata.topics().iter().map(|topic| (topic.name(), topic.partitions().len())).collect();
        found.sort_unstable();
        assert_eq!(found, [("one", 1), ("three", 3)]);
    }

    /// It lets such questions run out of time, five seconds each: nothing would begin before.
    #[test]
    fn it_is_not_asked_what_it_does_not_answer() {
        let broker = EmbeddedBroker::start(&[]).expect("a broker");
        assert!(!broker.client().tells_topic_ids());
        assert!(KafkaClient::new(broker.brokers()).tells_topic_ids(), "others are asked");
    }

    #[test]
    fn dropping_it_closes_the_port() {
        let broker = EmbeddedBroker::start(&[]).expect("a broker");
        let address = broker.brokers().to_owned();
        TcpStream::connect(&address).expect("open");
        drop(broker);
        TcpStream::connect(&address).expect_err("closed");
    }

    #[test]
    fn impossible_topics_are_named() {
        let fault = EmbeddedBroker::start(&[("none", 0)]).expect_err("no partitions");
        assert_eq!(fault.kind, FaultKind::Misconfigured);
        assert!(fault.message.contains("none") && fault.message.contains("at least 1"), "{fault}");
        assert!(EmbeddedBroker::start(&[("twice", 1), ("twice", 1)]).is_err());
    }
}
