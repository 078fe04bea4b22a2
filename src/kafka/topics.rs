//! Looking at topics, and creating ours.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::{
    admin::{AdminClient, AdminOptions, ConfigResource, NewTopic, ResourceSpecifier, TopicReplication},
    error::{KafkaError, RDKafkaErrorCode as Code},
    metadata::{Metadata, MetadataTopic},
    producer::{Producer, ThreadedProducer},
};

use super::{
    FaultKind, KafkaClient, KafkaFault,
    fault::kind_of,
    topic_plan::{Flaw, TopicConfig, TopicInfo, TopicPlan},
    watcher::Watcher,
};

/// Between two looks for a broker or a topic that should come.
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// What Kafka takes for "your own default" where it wants a number of copies.
const AS_THE_BROKERS_SAY: i32 = -1;

/// Looks at topics and creates them. Dropping it blocks for up to a fifth of a second.
pub struct TopicAdmin {
    admin: AdminClient<Watcher>,
    /// The admin client never serves its events, so that nobody would learn why it gets no answer; this one
    /// does.
    probe: Arc<ThreadedProducer<Watcher>>,
    watcher: Watcher,
    brokers: String,
    timeout: Duration,
}

/// Who answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// Kafka's own name of the cluster, where it tells.
    pub id: Option<String>,
    /// Ids of the brokers that are up.
    pub brokers: Vec<i32>,
}

/// What `ensure` found or did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ensured {
    /// It was not there and now is.
    Created,
    /// It was there; with what is wrong with it, if anything.
    Found(Vec<Flaw>),
    /// It is not there, and creating it was not asked for.
    Missing,
}

impl TopicAdmin {
    /// Prepares the clients; no broker is asked yet. Each later call takes `timeout` at most.
    ///
    /// # Errors
    /// [`FaultKind::Misconfigured`] for properties the library refuses.
    pub fn new(client: &KafkaClient, timeout: Duration) -> Result<Self, KafkaFault> {
        let watcher = Watcher::default();
        let config = client.admin();
        Ok(Self {
            admin: config.create_with_context(watcher.clone())?,
            probe: Arc::new(config.create_with_context(watcher.clone())?),
            watcher,
            brokers: client.brokers.clone(),
            timeout,
        })
    }

    /// Who answers at the configured address.
    ///
    /// # Errors
    /// Says whether nobody answers or whether the broker refuses us.
    pub async fn cluster(&self) -> Result<Cluster, KafkaFault> {
        let ids = |metadata: &Metadata| metadata.brokers().iter().map(|broker| broker.id()).collect();
        let brokers = self.metadata(None, ids).await?;
        let (probe, timeout) = (Arc::clone(&self.probe), self.timeout);
        let id = blocking(move || Ok(probe.client().fetch_cluster_id(timeout))).await?;
        Ok(Cluster { id, brokers })
    }

    /// A topic, or `None` where there is none.
    ///
    /// # Errors
    /// Nobody answers, or we may not know.
    pub async fn describe(&self, topic: &str) -> Result<Option<TopicInfo>, KafkaFault> {
        let name = topic.to_owned();
        let found = self
            .metadata(Some(topic.to_owned()), move |metadata| {
                metadata.topics().iter().find(|found| found.name() == name).map(shape_of)
            })
            .await?;
        let (partitions, replication_factor) = match found {
            None | Some(Err(Code::UnknownTopic | Code::UnknownTopicOrPartition)) => return Ok(None),
            Some(Err(code)) => {
                return Err(KafkaFault::new(kind_of(code), format!("topic {topic}: {code}")));
            }
            Some(Ok(shape)) => shape,
        };
        let config = self.configuration(ResourceSpecifier::Topic(topic)).await?;
        let config = config.as_ref().and_then(topic_config);
        Ok(Some(TopicInfo { name: topic.to_owned(), partitions, replication_factor, config }))
    }

    /// How long the brokers remember the position of a group without members; `None` where they do not tell.
    ///
    /// # Errors
    /// Nobody answers.
    pub async fn offsets_retention(&self, cluster: &Cluster) -> Result<Option<Duration>, KafkaFault> {
        let Some(broker) = cluster.brokers.first() else { return Ok(None) };
        let config = self.configuration(ResourceSpecifier::Broker(*broker)).await?;
        let minutes: Option<u64> =
            config.as_ref().and_then(|config| setting(config, "offsets.retention.minutes")?.parse().ok());
        Ok(minutes.map(|minutes| Duration::from_secs(minutes.saturating_mul(60))))
    }

    /// Sees to it that a topic of ours stands and keeps what it is given.
    ///
    /// # Errors
    /// Nobody answers, or the broker does not let us look or create.
    pub async fn ensure(&self, plan: &TopicPlan, create: bool) -> Result<Ensured, KafkaFault> {
        if let Some(problem) = plan.name_problem() {
            return Err(KafkaFault::new(FaultKind::Misconfigured, problem));
        }
        if let Some(found) = self.describe(&plan.name).await? {
            return Ok(Ensured::Found(plan.flaws(&found)));
        }
        if !create {
            return Ok(Ensured::Missing);
        }
        self.create(plan).await?;
        Ok(Ensured::Created)
    }

    /// Creates a topic and waits until the brokers know it. One that was created meanwhile is fine.
    async fn create(&self, plan: &TopicPlan) -> Result<(), KafkaFault> {
        let settings = plan.settings();
        let copies = TopicReplication::Fixed(plan.replication_factor.unwrap_or(AS_THE_BROKERS_SAY));
        let mut topic = NewTopic::new(&plan.name, plan.partitions, copies);
        for (key, value) in &settings {
            topic = topic.set(key, value);
        }
        let begun = Instant::now();
        let options = self.options().operation_timeout(Some(self.timeout));
        let results = self.admin.create_topics([&topic], &options).await;
        let results = results.map_err(|error| self.explain(error, begun.elapsed()))?;
        match results.into_iter().next() {
            Some(Err((_, code))) if code != Code::TopicAlreadyExists => {
                let text = format!(
                    "topic {} cannot be created: {code}; whoever may can do so with: {}",
                    plan.name,
                    plan.command()
                );
                return Err(KafkaFault::new(kind_of(code), text));
            }
            _ => {}
        }
        // The controller has it; the other brokers hear of it a moment later.
        while self.describe(&plan.name).await?.is_none() {
            if begun.elapsed() > self.timeout {
                let text = format!("topic {}: created, but not visible yet", plan.name);
                return Err(KafkaFault::new(FaultKind::Unreachable, text));
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
        Ok(())
    }

    /// Asks for metadata of one topic, or of all.
    async fn metadata<T: Send + 'static>(
        &self,
        topic: Option<String>,
        look: impl Fn(&Metadata) -> T + Send + 'static,
    ) -> Result<T, KafkaFault> {
        let (probe, watcher) = (Arc::clone(&self.probe), self.watcher.clone());
        let (brokers, timeout) = (self.brokers.clone(), self.timeout);
        blocking(move || {
            let begun = Instant::now();
            // A refusal is known long before the call would give up, hence several calls, each longer than the
            // one before, so that slow brokers are heard too.
            let mut patience = Duration::from_millis(250);
            loop {
                let left = timeout.saturating_sub(begun.elapsed());
                let fault = match probe.client().fetch_metadata(topic.as_deref(), patience.min(left)) {
                    Ok(metadata) => {
                        watcher.forget();
                        return Ok(look(&metadata));
                    }
                    Err(error) => watcher.explain(error, &brokers, begun.elapsed()),
                };
                if fault.kind != FaultKind::Unreachable || begun.elapsed() >= timeout {
                    return Err(fault);
                }
                patience = patience.saturating_mul(2).min(timeout);
                // A broken connection is reported at once; making a new one takes its time.
                std::thread::sleep(BETWEEN_LOOKS.min(timeout.saturating_sub(begun.elapsed())));
            }
        })
        .await
    }

    /// Settings of a topic or broker; `None` where the broker may not or cannot tell.
    async fn configuration(&self, of: ResourceSpecifier<'_>) -> Result<Option<ConfigResource>, KafkaFault> {
        let begun = Instant::now();
        let answer = match self.admin.describe_configs([&of], &self.options()).await {
            Ok(resources) => resources.into_iter().next().transpose(),
            Err(KafkaError::AdminOp(code)) => Err(code),
            Err(error) => return Err(self.explain(error, begun.elapsed())),
        };
        match answer {
            Ok(resource) => Ok(resource),
            Err(code) if kind_of(code) == FaultKind::Unreachable => {
                Err(self.explain(KafkaError::AdminOp(code), begun.elapsed()))
            }
            Err(code) => {
                tracing::debug!(resource = ?of, %code, "settings cannot be read");
                Ok(None)
            }
        }
    }

    fn options(&self) -> AdminOptions {
        AdminOptions::new().request_timeout(Some(self.timeout))
    }

    fn explain(&self, error: KafkaError, waited: Duration) -> KafkaFault {
        self.watcher.explain(error, &self.brokers, waited)
    }
}

impl fmt::Debug for TopicAdmin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TopicAdmin").field("brokers", &self.brokers).finish_non_exhaustive()
    }
}

async fn blocking<T: Send + 'static>(
    call: impl FnOnce() -> Result<T, KafkaFault> + Send + 'static,
) -> Result<T, KafkaFault> {
    let cut_off = |_| Err(KafkaFault::new(FaultKind::Other, "the call was cut off"));
    tokio::task::spawn_blocking(call).await.unwrap_or_else(cut_off)
}

/// Partitions and replicas.
fn shape_of(topic: &MetadataTopic) -> Result<(i32, i32), Code> {
    if let Some(error) = topic.error() {
        return Err(error.into());
    }
    let count = |length: usize| i32::try_from(length).unwrap_or(i32::MAX);
    let replicas = topic.partitions().iter().map(|partition| partition.replicas().len()).min();
    Ok((count(topic.partitions().len()), count(replicas.unwrap_or(0))))
}

fn setting<'a>(config: &'a ConfigResource, name: &str) -> Option<&'a str> {
    config.get(name)?.value.as_deref()
}

fn topic_config(config: &ConfigResource) -> Option<TopicConfig> {
    let number = |name| setting(config, name)?.parse().ok();
    Some(TopicConfig {
        retention_ms: number("retention.ms")?,
        retention_bytes: number("retention.bytes")?,
        cleanup_policy: setting(config, "cleanup.policy")?.to_owned(),
        max_message_bytes: number("max.message.bytes")?,
        timestamp_type: setting(config, "message.timestamp.type")?.to_owned(),
        limits_timestamps: config.get("message.timestamp.after.max.ms").is_some(),
    })
}
