//! Whether a replay that goes on is about what is read here.

use super::{Entry, Part, ReplayError, replayer::Replayer};

impl Replayer<'_> {
    /// Whether an entry is about what is replayed here: elsewhere a service may have another group, other topics, or
    /// the same under other names, and by now there may be another topic under the same name.
    pub(super) async fn recognise(&self, entry: &Entry) -> Result<(), ReplayError> {
        let refused = |why: String| Err(ReplayError::Order(format!("replay {}: {why}", entry.id)));
        let group = self.group();
        if entry.group != group {
            return refused(format!("it is of group {}, and here the group is {group}", entry.group));
        }
        let plan = self.plan(&entry.order).await?;
        let topic = |part: &Part| plan.topics.iter().find(|planned| *planned.topic == *part.topic);
        let is_other = |part: &&Part| {
            let now = topic(part).and_then(|planned| planned.topic_id.as_ref());
            matches!((&part.topic_id, now), (Some(then), Some(now)) if then != now)
        };
        if let Some(part) = entry.parts.iter().find(is_other) {
            return refused(format!(
                "topic {} was deleted and made again since: order a new one for what is in it now",
                part.topic
            ));
        }
        let is_there = |part: &&Part| {
            topic(part).is_some_and(|planned| {
                planned.stretches.iter().any(|stretch| stretch.partition == part.partition)
            })
        };
        let missing = entry.parts.iter().filter(|part| !is_there(part));
        match &*missing.map(|part| format!("{}:{}", part.topic, part.partition)).collect::<Vec<_>>() {
            [] => Ok(()),
            missing => refused(format!("here {} does not read {}", self.service.name(), missing.join(", "))),
        }
    }
}
