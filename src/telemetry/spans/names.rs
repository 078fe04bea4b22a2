//! What OpenTelemetry's conventions for messaging call the attributes of a span.
//!
//! They are still being changed. By the conventions' own rule `OTEL_SEMCONV_STABILITY_OPT_IN` chooses: unset, the names
//! of the versions 1.25 to 1.44; with `messaging` those of 1.45; with `messaging/dup` both.

use super::span::{Attributes, Value};

/// An attribute that was given another name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Renamed {
    System,
    Offset,
    Key,
    Tombstone,
}

impl Renamed {
    /// The earlier name, and the later.
    fn names(self) -> [&'static str; 2] {
        match self {
            Self::System => ["messaging.system", "messaging.system.name"],
            Self::Offset => ["messaging.kafka.offset", "kafka.offset"],
            Self::Key => ["messaging.kafka.message.key", "kafka.message.key"],
            Self::Tombstone => ["messaging.kafka.message.tombstone", "kafka.message.tombstone"],
        }
    }
}

/// Which names are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Names {
    earlier: bool,
    later: bool,
}

impl Names {
    /// By the value of the variable: names with commas between them, of which only ours count.
    pub(super) fn new(opted_in: &str) -> Self {
        let has = |name: &str| opted_in.split(',').any(|word| word.trim() == name);
        let both = has("messaging/dup");
        let later = both || has("messaging");
        Self { earlier: both || !later, later }
    }

    pub(super) fn put(self, attributes: &mut Attributes, renamed: Renamed, value: impl Into<Value>) {
        let value = value.into();
        let wanted = [self.earlier, self.later].into_iter().zip(renamed.names());
        attributes.extend(wanted.filter(|(is_wanted, _)| *is_wanted).map(|(_, name)| (name, value.clone())));
    }

    /// What every span about records of a topic has.
    pub(super) fn of(self, operation: &'static str, topic: &str, client_id: &str) -> Attributes {
        let mut attributes: Attributes = vec![
            ("messaging.operation.name", operation.into()),
            ("messaging.operation.type", operation.into()),
            ("messaging.destination.name", topic.to_owned().into()),
            ("messaging.client.id", client_id.to_owned().into()),
        ];
        self.put(&mut attributes, Renamed::System, "kafka");
        attributes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_somebody_has_opted_for() {
        let named = |opted_in: &str| {
            let mut attributes = Attributes::new();
            Names::new(opted_in).put(&mut attributes, Renamed::Offset, 7);
            attributes.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
        };
        assert_eq!(named(""), ["messaging.kafka.offset"]);
        assert_eq!(named("http, database/dup"), ["messaging.kafka.offset"]);
        assert_eq!(named("http, messaging"), ["kafka.offset"]);
        assert_eq!(named("messaging/dup"), ["messaging.kafka.offset", "kafka.offset"]);
        assert_eq!(named("messaging,messaging/dup"), ["messaging.kafka.offset", "kafka.offset"]);
    }
}
