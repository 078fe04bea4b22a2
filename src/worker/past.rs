//! Whether a group has ever finished anything: asked of all who would know, for each of them may have forgotten.

use std::{sync::Arc, time::Duration};

use serde::Deserialize;

use super::memory::Memory;
use crate::{
    Record,
    kafka::{FaultKind, KafkaClient, KafkaFault, LogReader, Read, Stretch},
    ledger::KeepError,
    store::DedupeStore,
};

/// How long one look at Kafka waits.
const LOOK: Duration = Duration::from_millis(100);

/// The places that know.
#[derive(Debug, Clone)]
pub(crate) struct Past {
    pub(crate) kafka: KafkaClient,
    /// Physical names of the topics that the service consumes.
    pub(crate) topics: Vec<String>,
    /// The topic where the acts of operators are written down.
    pub(crate) audit: String,
}

/// What is read of an act that may have finished events.
#[derive(Deserialize)]
struct Act {
    verb: String,
    before: Before,
}

#[derive(Deserialize)]
struct Before {
    order: Order,
}

#[derive(Deserialize)]
struct Order {
    mode: String,
    epoch: Option<String>,
}

impl Past {
    /// Whether nothing of what is to be remembered there has ever been finished.
    ///
    /// # Errors
    /// One of them cannot be asked.
    pub(crate) async fn is_new(&self, memory: &Memory, store: &dyn DedupeStore) -> Result<bool, KeepError> {
        if memory.is_noted(store).await? {
            return Ok(false);
        }
        // What live workers have begun is not of any run over everything.
        if memory.epoch.is_none() {
            for topic in &self.topics {
                if !store.anchors(&memory.group, topic).await?.started.is_empty() {
                    return Ok(false);
                }
            }
        }
        let (past, group, epoch) = (self.clone(), memory.group.clone(), memory.epoch.clone());
        let asked = tokio::task::spawn_blocking(move || {
            Ok((epoch.is_some() || !past.has_committed(&group)?)
                && !past.was_replayed(&group, epoch.as_deref())?)
        });
        let stopping = |_| Err(KafkaFault::new(FaultKind::Other, "the worker is stopping"));
        Ok(asked.await.unwrap_or_else(stopping)?)
    }

    fn has_committed(&self, group: &str) -> Result<bool, KafkaFault> {
        for topic in &self.topics {
            let reader = LogReader::open(&self.kafka, group, &Arc::from(topic.as_str()))?;
            let partitions = reader.partitions()?.unwrap_or_default();
            if !reader.committed(&partitions)?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a replay of this group is written down, or one under this name over everything.
    fn was_replayed(&self, group: &str, epoch: Option<&str>) -> Result<bool, KafkaFault> {
        let mut reader = LogReader::open(&self.kafka, group, &Arc::from(self.audit.as_str()))?;
        let mut stretches = Vec::new();
        for partition in reader.partitions()?.unwrap_or_default() {
            let (begin, end) = reader.log(partition)?;
            stretches.push(Stretch { partition, begin, end, log_end: end });
        }
        reader.begin(&stretches)?;
        while !reader.is_finished() {
            if let Read::Record(record) = reader.read(LOOK)?
                && is_replay(&record, group, epoch)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn is_replay(record: &Record, group: &str, epoch: Option<&str>) -> bool {
    let act = || serde_json::from_slice::<Act>(record.value.as_deref()?).ok();
    record.key.as_deref() == Some(group.as_bytes())
        && act().is_some_and(|Act { verb, before: Before { order } }| {
            let is_forced = order.mode == "force";
            verb.starts_with("replay")
                && if epoch.is_some() { order.epoch.as_deref() == epoch } else { !is_forced }
        })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::{Value, json};

    use super::*;

    fn record(value: &Value) -> Record {
        Record {
            topic: "audit".into(),
            partition: 0,
            offset: 0,
            timestamp: None,
            key: Some(Bytes::from_static(b"payments")),
            value: Some(value.to_string().into()),
            headers: Vec::new(),
        }
    }

    #[test]
    fn acts_that_may_have_finished_events_are_told_from_others() {
        let replay =
            |order: Value| record(&json!({ "verb": "replay --resume", "before": { "order": order } }));
        let plain = replay(json!({ "mode": "skip-done" }));
        let forced = replay(json!({ "mode": "force", "epoch": "e", "new_keys": false }));
        let other = record(&json!({ "verb": "rewind", "before": { "moves": [] } }));
        let known = |group, epoch| [&plain, &forced, &other].map(|record| is_replay(record, group, epoch));
        assert_eq!(known("payments", None), [true, false, false]);
        assert_eq!(known("payments", Some("e")), [false, true, false]);
        assert_eq!(known("payments", Some("f")), [false; 3]);
        assert_eq!(known("orders", None), [false; 3]);
    }
}
