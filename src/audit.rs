//! What operators do, written down before they do it: no record, no act.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;

use crate::{
    config::Settings,
    kafka::{Ensured, KafkaClient, RecordProducer, TopicAdmin, TopicPlan},
    pipeline::{NewRecord, Producer},
};

/// How long the broker may take for each answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The topic where acts are written down.
#[derive(Debug)]
pub(crate) struct Audit {
    producer: RecordProducer,
    topic: String,
    who: String,
}

/// Something that is about to be done, as it will stand in the topic.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Act {
    /// The words of the command line, such as `dedupe forget`.
    pub(crate) verb: &'static str,
    /// The consumer group it is about; also the record's key.
    pub(crate) group: String,
    /// The handler, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) handler: Option<String>,
    /// The dedupe key, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
    /// How it stood before.
    pub(crate) before: serde_json::Value,
}

/// An act that is written down and may be done.
#[derive(Debug)]
pub(crate) struct Intent {
    id: String,
    act: Act,
}

/// How an act stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outcome {
    /// It is about to be done; where nothing follows, it was.
    Intended,
    /// It was done; written where there is something to say about how it went.
    Done,
    /// It was not done.
    Refused,
    /// Nobody knows whether it was done.
    Failed,
}

/// The act cannot be written down, so it must not be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("nothing was done, for it cannot be written to the audit topic {topic}: {reason}")]
pub(crate) struct AuditError {
    topic: String,
    reason: String,
}

#[derive(Serialize)]
struct Entry<'a> {
    /// The same in both records of an act that had two.
    id: &'a str,
    at: Timestamp,
    who: &'a str,
    #[serde(flatten)]
    act: &'a Act,
    outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

impl Intent {
    /// The same in all records of the act.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }
}

impl Audit {
    /// Sees to it that the topic is there; makes it where the configuration lets us.
    ///
    /// # Errors
    /// No broker answers or lets us write, or the topic is missing and is not ours to make.
    pub(crate) async fn open(settings: &Settings) -> Result<Self, AuditError> {
        let topics = &settings.topics;
        let error = |reason: String| AuditError { topic: topics.audit.clone(), reason };
        let kafka = KafkaClient::from_settings(&settings.kafka);
        let plan = TopicPlan::audit(&topics.audit, topics.replication_factor);
        let admin = TopicAdmin::new(&kafka, PATIENCE).map_err(|fault| error(fault.to_string()))?;
        match admin.ensure(&plan, topics.create).await {
            Ok(Ensured::Missing) => {
                let how = format!("it does not exist; worker check --create, or: {}", plan.command());
                return Err(error(how));
            }
            Ok(Ensured::Created | Ensured::Found(_)) => {}
            Err(fault) => return Err(error(fault.to_string())),
        }
        let producer = RecordProducer::new(kafka, PATIENCE).map_err(|fault| error(fault.to_string()))?;
        Ok(Self { producer, topic: topics.audit.clone(), who: who() })
    }

    /// In whose name acts are written down.
    pub(crate) fn who(&self) -> &str {
        &self.who
    }

    /// In somebody else's name than that of the user whose process this is.
    pub(crate) fn by(self, who: String) -> Self {
        Self { who, ..self }
    }

    /// Writes down what is about to be done. The broker has acknowledged it when this returns.
    ///
    /// # Errors
    /// Not acknowledged: the act must not be done.
    pub(crate) async fn intend(&self, act: Act) -> Result<Intent, AuditError> {
        let intent = Intent { id: format!("{:032x}", rand::random::<u128>()), act };
        self.write(&intent, Outcome::Intended, None).await?;
        Ok(intent)
    }

    /// Writes down that what was intended did not come about, or that nobody knows.
    ///
    /// # Errors
    /// Not acknowledged.
    pub(crate) async fn amend(
        &self,
        intent: &Intent,
        outcome: Outcome,
        reason: &str,
    ) -> Result<(), AuditError> {
        self.write(intent, outcome, Some(reason)).await
    }

    async fn write(
        &self,
        Intent { id, act }: &Intent,
        outcome: Outcome,
        reason: Option<&str>,
    ) -> Result<(), AuditError> {
        let error = |reason: String| AuditError { topic: self.topic.clone(), reason };
        let entry = Entry { id, at: Timestamp::now(), who: &self.who, act, outcome, reason };
        let value = serde_json::to_vec(&entry).map_err(|cause| error(cause.to_string()))?;
        let record = NewRecord {
            topic: self.topic.clone(),
            partition: None,
            timestamp: None,
            key: Some(Bytes::from(act.group.clone())),
            value: Some(value.into()),
            headers: Vec::new(),
        };
        self.producer.send(&[record]).await.map_err(|cause| error(cause.to_string()))
    }
}

/// `user@host`. A container often knows its user by number only.
fn who() -> String {
    let named = ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok());
    let user = named
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| format!("uid{}", rustix::process::getuid().as_raw()));
    format!("{user}@{}", rustix::system::uname().nodename().to_string_lossy())
}
