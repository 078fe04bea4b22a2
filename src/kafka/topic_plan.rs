//! What a topic is, and what a topic of ours has to be. Pure: nothing here asks a broker.

use std::time::Duration;

use crate::pipeline::dead_letter::dead_letter_topic;

/// Room for our headers beside a record that fills its own topic's limit, in bytes.
pub const HEADROOM: i64 = 64 * 1024;
/// Kafka's own limit for names of topics, in characters.
const NAME_LIMIT: usize = 249;

/// A topic as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicInfo {
    /// Physical name.
    pub name: String,
    /// How many partitions.
    pub partitions: i32,
    /// Copies of each partition; the fewest, should they differ.
    pub replication_factor: i32,
    /// `None` where the broker does not tell: no permission, or no such call.
    pub config: Option<TopicConfig>,
}

/// The settings that decide how long records live and how large they may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicConfig {
    /// Milliseconds; -1 keeps for ever.
    pub retention_ms: i64,
    /// Bytes per partition; -1 keeps everything.
    pub retention_bytes: i64,
    /// `delete`, `compact` or both.
    pub cleanup_policy: String,
    /// The largest batch the broker takes, in bytes.
    pub max_message_bytes: i64,
    /// `CreateTime` or `LogAppendTime`.
    pub timestamp_type: String,
    /// Whether this broker can refuse records for being stamped too far from its own time.
    pub limits_timestamps: bool,
}

/// How long a topic keeps its records by age.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// At least this long.
    For(Duration),
    /// Nothing goes by age.
    Forever,
}

impl TopicConfig {
    /// How long records stay.
    pub fn kept(&self) -> Kept {
        match u64::try_from(self.retention_ms) {
            Ok(milliseconds) if self.deletes() => Kept::For(Duration::from_millis(milliseconds)),
            _ => Kept::Forever,
        }
    }

    fn deletes(&self) -> bool {
        self.cleanup_policy.split(',').any(|policy| policy.trim() == "delete")
    }

    fn compacts(&self) -> bool {
        self.cleanup_policy.split(',').any(|policy| policy.trim() == "compact")
    }
}

/// A topic of ours as it should be: it keeps everything, and takes whatever its source takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicPlan {
    /// Of the records with one key only the last is needed, and it is needed for ever.
    compact: bool,
    /// Physical name.
    pub name: String,
    /// As many as the source has.
    pub partitions: i32,
    /// Copies of each partition; `None` leaves it to the brokers.
    pub replication_factor: Option<i32>,
    /// `None` where the source's limit is unknown: then the broker's default counts.
    pub max_message_bytes: Option<i64>,
    /// How long the source keeps records: the age a copy may have when it is written.
    source_keeps: Option<Kept>,
    /// The broker has limits for timestamps, which must not refuse a copy.
    any_timestamp: bool,
    /// It is read as a whole by every worker that starts, and its times are those of the brokers.
    is_control: bool,
}

/// What is wrong with a topic of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// Records would be lost or refused, rather than merely surprise.
    pub grave: bool,
    /// What stands there, and what follows.
    pub found: String,
    /// What to do.
    pub advice: String,
}

impl TopicPlan {
    /// For the dead letters of a group; `replication_factor` as configured, or the source's.
    pub fn dead_letter(source: &TopicInfo, group: &str, replication_factor: Option<i32>) -> Self {
        Self::copy_of(source, dead_letter_topic(&source.name, group), replication_factor)
    }

    /// For copies of a source's records under any name of ours.
    pub fn copy_of(source: &TopicInfo, name: String, replication_factor: Option<i32>) -> Self {
        let config = source.config.as_ref();
        Self {
            compact: false,
            name,
            partitions: source.partitions,
            replication_factor: Some(replication_factor.unwrap_or(source.replication_factor)),
            max_message_bytes: config.map(|config| config.max_message_bytes.saturating_add(HEADROOM)),
            source_keeps: config.map(TopicConfig::kept),
            any_timestamp: config.is_some_and(|config| config.limits_timestamps),
            is_control: false,
        }
    }

    /// For what operators do: one partition, so that it is read in the order in which it happened.
    pub fn audit(name: &str, replication_factor: Option<i32>) -> Self {
        Self {
            compact: false,
            name: name.to_owned(),
            partitions: 1,
            replication_factor,
            max_message_bytes: None,
            // What is written there is always new.
            source_keeps: Some(Kept::For(Duration::ZERO)),
            any_timestamp: false,
            is_control: false,
        }
    }

    /// For what operators tell all pods, and what these say of themselves: one partition, of which the last word under
    /// each key counts.
    pub fn control(name: &str, replication_factor: Option<i32>) -> Self {
        Self { compact: true, is_control: true, ..Self::audit(name, replication_factor) }
    }

    /// For the ledger of a group that consumes these sources: as many partitions and copies as the largest of them.
    pub fn ledger<'a>(
        name: String,
        sources: impl IntoIterator<Item = &'a TopicInfo>,
        replication_factor: Option<i32>,
    ) -> Self {
        let shapes = sources.into_iter().map(|source| (source.partitions, source.replication_factor));
        let largest = shapes.reduce(|one, other| (one.0.max(other.0), one.1.max(other.1)));
        Self {
            compact: true,
            name,
            partitions: largest.map_or(1, |(partitions, _)| partitions),
            replication_factor: replication_factor.or(largest.map(|(_, copies)| copies)),
            max_message_bytes: None,
            source_keeps: None,
            any_timestamp: false,
            is_control: false,
        }
    }

    /// For what has become of a topic's letters: of each the last word counts.
    pub fn marks(name: &str, replication_factor: Option<i32>) -> Self {
        Self { compact: true, ..Self::audit(name, replication_factor) }
    }

    /// The settings to create it with.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        // A copy carries its source's timestamp, and Kafka deletes by timestamp: with any age limit a letter
        // of an old record would be gone at the next clean-up.
        let mut settings = vec![
            ("cleanup.policy", self.policy().to_owned()),
            ("retention.ms", "-1".to_owned()),
            ("retention.bytes", "-1".to_owned()),
            ("message.timestamp.type", self.timestamps().to_owned()),
        ];
        if self.is_control {
            // Compaction leaves the last segment alone, and reports come every few seconds.
            let small = [
                ("segment.bytes", "2097152"),
                ("segment.ms", "600000"),
                ("min.cleanable.dirty.ratio", "0.1"),
                ("delete.retention.ms", "3600000"),
            ];
            settings.extend(small.map(|(key, value)| (key, value.to_owned())));
        }
        if let Some(bytes) = self.max_message_bytes {
            settings.push(("max.message.bytes", bytes.to_string()));
        }
        if self.any_timestamp {
            settings.push(("message.timestamp.before.max.ms", i64::MAX.to_string()));
            settings.push(("message.timestamp.after.max.ms", i64::MAX.to_string()));
        }
        settings
    }

    fn timestamps(&self) -> &'static str {
        if self.is_control { "LogAppendTime" } else { "CreateTime" }
    }

    fn policy(&self) -> &'static str {
        if self.compact { "compact" } else { "delete" }
    }

    /// The command that creates it, for whoever may.
    pub fn command(&self) -> String {
        let Self { name, partitions, replication_factor, .. } = self;
        let copies =
            replication_factor.map(|copies| format!(" --replication-factor {copies}")).unwrap_or_default();
        let settings: String =
            self.settings().iter().map(|(key, value)| format!(" --config {key}={value}")).collect();
        format!("kafka-topics.sh --create --topic {name} --partitions {partitions}{copies}{settings}")
    }

    /// Why no broker would take the name, if so.
    pub fn name_problem(&self) -> Option<String> {
        let length = self.name.len();
        (length > NAME_LIMIT).then(|| {
            format!(
                "topic {}: {length} characters, but Kafka allows {NAME_LIMIT}; shorten the group's name",
                self.name
            )
        })
    }

    /// What is wrong with the topic that stands there under this name.
    pub fn flaws(&self, found: &TopicInfo) -> Vec<Flaw> {
        if self.compact {
            return self.flaws_of_compaction(found);
        }
        let mut flaws = Vec::new();
        let mut flaw = |grave, found: String, advice: String| flaws.push(Flaw { grave, found, advice });
        let name = &self.name;
        if found.partitions < self.partitions {
            flaw(
                false,
                format!(
                    "{} partitions, the source has {}: letters of the others lose their place",
                    found.partitions, self.partitions
                ),
                format!("kafka-topics.sh --alter --topic {name} --partitions {}", self.partitions),
            );
        }
        let Some(config) = &found.config else { return flaws };
        let set = |setting: &str| format!("kafka-configs.sh --alter --topic {name} --add-config {setting}");
        if config.compacts() {
            let text = "cleanup.policy=compact: of several records with one key only the last stays";
            flaw(true, text.to_owned(), set("cleanup.policy=delete"));
        }
        if let Kept::For(kept) = config.kept() {
            let at_once = !matches!(self.source_keeps, Some(Kept::For(source)) if source < kept);
            let what = if at_once {
                "a letter of an older record is deleted at once"
            } else {
                "records vanish after that"
            };
            let text = format!(
                "retention.ms={} ({}): {what}",
                config.retention_ms,
                humantime::format_duration(kept)
            );
            flaw(at_once, text, set("retention.ms=-1"));
        }
        if config.retention_bytes >= 0 {
            let text =
                format!("retention.bytes={}: the oldest records vanish beyond that", config.retention_bytes);
            flaw(false, text, set("retention.bytes=-1"));
        }
        if let Some(needed) = self.max_message_bytes.filter(|needed| config.max_message_bytes < *needed) {
            let text = format!(
                "max.message.bytes={}, but a letter may need {needed}: larger records lose their value",
                config.max_message_bytes
            );
            flaw(true, text, set(&format!("max.message.bytes={needed}")));
        }
        if config.timestamp_type != "CreateTime" {
            let text = format!("message.timestamp.type={}: records lose their time", config.timestamp_type);
            flaw(false, text, set("message.timestamp.type=CreateTime"));
        }
        flaws
    }

    /// Where the last record of every key is needed, its age and its partition are no matter.
    fn flaws_of_compaction(&self, found: &TopicInfo) -> Vec<Flaw> {
        let Some(config) = &found.config else { return Vec::new() };
        let advice =
            format!("kafka-configs.sh --alter --topic {} --add-config cleanup.policy=compact", self.name);
        let policy = &config.cleanup_policy;
        let flaw = |grave, found| vec![Flaw { grave, found, advice }];
        match (config.deletes(), config.compacts()) {
            (true, _) if config.retention_ms >= 0 || config.retention_bytes >= 0 => {
                let text = "entries vanish, and what they said is not known any more";
                flaw(true, format!("cleanup.policy={policy}: {text}"))
            }
            (_, false) => {
                flaw(false, format!("cleanup.policy={policy}: repeated entries stay and take room"))
            }
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
#[path = "topic_plan_tests.rs"]
mod tests;
