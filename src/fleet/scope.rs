//! What a pause is about: all of a service, one of its topics, one of its handlers.

use std::fmt;

use serde::Serialize;

/// What is paused. It is known by its group, because that is the one name that is unique in a cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Scope {
    /// The consumer group.
    pub(crate) group: String,
    /// The topic as Kafka calls it. A pause is about one topic, one handler, or everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) topic: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) handler: Option<String>,
}

const PAUSE: &str = "pause";
const TOPIC: &str = "topic";
const HANDLER: &str = "handler";

impl Scope {
    /// All of a group's work.
    #[cfg(test)]
    pub(crate) fn of(group: &str) -> Self {
        Self { group: group.to_owned(), topic: None, handler: None }
    }

    /// Whether nothing of this topic may begin.
    pub(crate) fn holds_topic(&self, group: &str, topic: &str) -> bool {
        self.group == group && self.handler.is_none() && self.topic.as_ref().is_none_or(|own| own == topic)
    }

    /// The key of its record. No name of a group, a topic or a handler holds a slash.
    pub(crate) fn key(&self) -> String {
        let part = |kind: &str, name: &Option<String>| {
            name.as_ref().map_or_else(String::new, |name| format!("/{kind}/{name}"))
        };
        format!("{PAUSE}/{}{}{}", self.group, part(TOPIC, &self.topic), part(HANDLER, &self.handler))
    }

    /// The scope of a record with this key.
    pub(crate) fn of_key(key: &str) -> Option<Self> {
        let parts: Vec<&str> = key.split('/').collect();
        let (group, topic, handler) = match parts[..] {
            [PAUSE, group] => (group, None, None),
            [PAUSE, group, TOPIC, topic] => (group, Some(topic), None),
            [PAUSE, group, HANDLER, handler] => (group, None, Some(handler)),
            _ => return None,
        };
        let names = [Some(group), topic, handler];
        let owned = |name: Option<&str>| name.map(str::to_owned);
        names.iter().flatten().all(|name| is_name(name)).then(|| Self {
            group: group.to_owned(),
            topic: owned(topic),
            handler: owned(handler),
        })
    }
}

/// What groups, topics, handlers and pods may be called.
pub(super) fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    (1..=255).contains(&text.len()) && text.chars().all(plain)
}

/// Without the group, which whoever reads it knows.
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.topic, &self.handler) {
            (None, None) => f.write_str("everything"),
            (Some(topic), _) => write!(f, "topic {topic}"),
            (None, Some(handler)) => write!(f, "handler {handler}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scopes() -> [Scope; 3] {
        let scope = |topic: Option<&str>, handler: Option<&str>| Scope {
            topic: topic.map(str::to_owned),
            handler: handler.map(str::to_owned),
            ..Scope::of("payments")
        };
        [scope(None, None), scope(Some("orders.created"), None), scope(None, Some("charge"))]
    }

    #[test]
    fn every_scope_has_a_key_of_its_own_and_is_read_from_it() {
        let keys = scopes().map(|scope| scope.key());
        assert_eq!(keys[0], "pause/payments");
        assert_eq!(keys[1], "pause/payments/topic/orders.created");
        assert_eq!(keys.map(|key| Scope::of_key(&key)), scopes().map(Some));
    }

    #[test]
    fn what_is_no_key_of_a_scope_is_none() {
        for key in [
            "",
            "pause",
            "pause/",
            "pause/a/topic",
            "pause/a/topic/",
            "pause/a/handler/b/topic/c",
            "pod/a",
            "pause/a b",
            "pause/a/topic/b/handler/c",
        ] {
            assert_eq!(Scope::of_key(key), None, "{key}");
        }
    }

    #[test]
    fn a_topic_is_held_by_its_own_pause_and_by_that_of_its_service() {
        let held = |topic| scopes().map(|scope| scope.holds_topic("payments", topic));
        assert_eq!(held("orders.created"), [true, true, false]);
        assert_eq!(held("orders.paid"), [true, false, false]);
        assert!(!Scope::of("orders").holds_topic("payments", "orders.created"));
    }
}
