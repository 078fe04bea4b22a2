//! What operators do: pause and resume, and wait for the pods to say that they have heard.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use serde::Serialize;

use super::{
    acting::NotDone,
    follower::{Followed, Follower},
    said::{Pause, Said},
    scope::Scope,
    view::{Heard, Presence},
};
use crate::{
    config::Settings,
    kafka::{Ensured, KafkaClient, RecordProducer, TopicAdmin, TopicPlan},
    pipeline::{NewRecord, Producer},
};

/// How long the brokers may take for each answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The fleet of a group, as an operator has it.
#[derive(Debug, Clone)]
pub(crate) struct Fleet {
    pub(crate) follower: Arc<Follower>,
    pub(crate) producer: Arc<dyn Producer>,
    pub(crate) topic: String,
}

/// What became of a word to all pods.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Heeded {
    pub(crate) pods: Vec<PodHeeded>,
    /// Every one of them does as it was told.
    pub(crate) by_all: bool,
}

/// Whether one pod does as it was told.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct PodHeeded {
    pub(crate) pod: String,
    /// When its process began.
    pub(crate) since: Timestamp,
    pub(crate) heeded: bool,
    /// How long ago it was heard of last.
    pub(crate) heard_seconds: i64,
}

impl PodHeeded {
    fn of(pod: &str, heard: &Heard, offset: i64, now_ms: i64) -> Self {
        Self {
            pod: pod.to_owned(),
            since: heard.report.started_at,
            heeded: heard.report.read_to > offset,
            heard_seconds: (now_ms - heard.at_ms).max(0) / 1000,
        }
    }
}

impl Fleet {
    /// By the control topic, which is made where the configuration lets us; `follower` reads it.
    ///
    /// # Errors
    /// There is none, or no broker answers.
    pub(crate) async fn open(
        settings: &Settings,
        follower: impl FnOnce(&KafkaClient, &str) -> Option<Arc<Follower>>,
    ) -> Result<Self, NotDone> {
        let Some(topic) = settings.topics.control.clone() else {
            let off = "topics.control is \"off\", so that pods hear nothing";
            return Err(NotDone::Impossible(off.to_owned()));
        };
        let trouble = |reason: String| NotDone::Trouble(format!("nothing was done: {reason}"));
        let kafka = KafkaClient::from_settings(&settings.kafka);
        let plan = TopicPlan::control(&topic, settings.topics.replication_factor);
        let admin = TopicAdmin::new(&kafka, PATIENCE).map_err(|fault| trouble(fault.to_string()))?;
        match admin.ensure(&plan, settings.topics.create).await {
            Ok(Ensured::Created | Ensured::Found(_)) => {}
            Ok(Ensured::Missing) => {
                let how = plan.command();
                return Err(NotDone::Impossible(format!(
                    "the control topic {topic} does not exist; worker check --create, or: {how}"
                )));
            }
            Err(fault) => return Err(trouble(fault.to_string())),
        }
        let Some(follower) = follower(&kafka, &topic) else {
            return Err(trouble("the services of this worker have not begun yet, or have ended".to_owned()));
        };
        let producer = RecordProducer::new(kafka, PATIENCE).map_err(|fault| trouble(fault.to_string()))?;
        Ok(Self { follower, producer: Arc::new(producer), topic })
    }

    /// Says it to all pods, and answers where it stands in the topic.
    ///
    /// # Errors
    /// The brokers do not take it, or it is not to be read in time: nobody knows then whether it counts.
    pub(crate) async fn say(
        &self,
        scope: &Scope,
        pause: Option<Pause>,
        wait: Duration,
    ) -> Result<i64, String> {
        let before = self.follower.followed().view.word(scope).map_or(-1, |word| word.offset);
        let said = match &pause {
            Some(pause) => Said::Paused(scope.clone(), pause.clone()),
            None => Said::Resumed(scope.clone()),
        };
        write(&*self.producer, &self.topic, &said).await?;
        let is_it = |followed: &Followed| {
            let word = followed.view.word(scope).filter(|word| word.pause == pause)?;
            // The same may have been said before; this is a later word, or another topic.
            (word.offset != before).then_some(word.offset)
        };
        let read = tokio::time::timeout(wait, self.follower.until(is_it)).await;
        read.map_err(|_| format!("it was written to {}, and could not be read there in time", self.topic))
    }

    /// Waits until every pod of the group does as everything up to this offset says, but no longer than `wait`.
    pub(crate) async fn heeded(&self, group: &str, offset: i64, wait: Duration) -> Heeded {
        let all = |followed: &Followed| {
            let heeded = heeded(followed, group, offset);
            heeded.by_all.then_some(heeded)
        };
        let waited = tokio::time::timeout(wait, self.follower.until(all)).await;
        waited.unwrap_or_else(|_| heeded(&self.follower.followed(), group, offset))
    }
}

fn heeded(followed: &Followed, group: &str, offset: i64) -> Heeded {
    let now_ms = followed.now_ms();
    let pods = followed.view.pods(group, now_ms);
    let pods: Vec<_> = pods.map(|(pod, heard)| PodHeeded::of(pod, heard, offset, now_ms)).collect();
    Heeded { by_all: pods.iter().all(|pod| pod.heeded), pods }
}

/// Writes one record into the control topic.
pub(super) async fn write(producer: &dyn Producer, topic: &str, said: &Said) -> Result<(), String> {
    let (key, value) = said.write().map_err(|error| error.to_string())?;
    let record = NewRecord {
        topic: topic.to_owned(),
        partition: Some(0),
        timestamp: None,
        key: Some(key.into()),
        value: value.map(Into::into),
        headers: Vec::new(),
    };
    producer.send(&[record]).await.map_err(|error| error.to_string())
}

impl Presence {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::There => "there",
            Self::Silent => "silent",
            Self::Gone => "gone",
        }
    }
}
