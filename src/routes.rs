//! Which handler runs for which topic.

use std::{collections::BTreeMap, fmt, sync::Arc};

use crate::{
    Codec, Handler, Json,
    erased::{ErasedHandler, WithCodec},
};

/// Which handler runs for which topic. A module returns its routes, a service merges them.
#[derive(Default, Clone)]
pub struct Routes {
    by_topic: BTreeMap<String, Arc<dyn ErasedHandler>>,
    clashes: Vec<RouteError>,
}

impl Routes {
    /// No routes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs `handler` for every record of `topic`, decoded as JSON.
    #[must_use]
    pub fn on<H: Handler>(self, topic: impl Into<String>, handler: H) -> Self
    where
        Json: Codec<H::Event>,
    {
        self.on_with(topic, Json, handler)
    }

    /// Runs `handler` for every record of `topic`, decoded by `codec`.
    #[must_use]
    pub fn on_with<H: Handler, C: Codec<H::Event>>(
        mut self,
        topic: impl Into<String>,
        codec: C,
        handler: H,
    ) -> Self {
        self.insert(topic.into(), Arc::new(WithCodec { handler, codec }));
        self
    }

    /// Both tables as one.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        other.clashes.into_iter().for_each(|clash| self.note(clash));
        for (topic, handler) in other.by_topic {
            self.insert(topic, handler);
        }
        self
    }

    /// The logical names of the topics to subscribe to: exactly those with a handler.
    pub fn topics(&self) -> impl Iterator<Item = &str> {
        self.by_topic.keys().map(String::as_str)
    }

    /// The names of the handlers.
    pub fn handlers(&self) -> impl Iterator<Item = &'static str> {
        self.by_topic.values().map(|handler| handler.name())
    }

    /// Every registration that cannot stand, all at once.
    ///
    /// # Errors
    /// Topics and handler names registered twice, names that are not allowed, and an empty table.
    pub fn check(&self) -> Result<(), Vec<RouteError>> {
        let mut problems = self.clashes.clone();
        if self.by_topic.is_empty() {
            problems.push(RouteError::Empty);
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Arc<dyn ErasedHandler>)> {
        self.by_topic.iter().map(|(topic, handler)| (topic.as_str(), handler))
    }

    fn insert(&mut self, topic: String, handler: Arc<dyn ErasedHandler>) {
        let name = handler.name();
        if !is_name(name) {
            self.note(RouteError::BadName(name));
        }
        if self.by_topic.values().any(|other| other.name() == name) {
            self.note(RouteError::HandlerTwice(name));
        }
        if let Some(other) = self.by_topic.get(&topic) {
            self.clashes.push(RouteError::TopicTwice {
                topic: topic.clone(),
                first: other.name(),
                second: name,
            });
        }
        self.by_topic.insert(topic, handler);
    }

    /// Merging registers a handler again, which must not report its problems again.
    fn note(&mut self, clash: RouteError) {
        if !self.clashes.contains(&clash) {
            self.clashes.push(clash);
        }
    }
}

impl fmt::Debug for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().map(|(topic, handler)| (topic, handler.name()))).finish()
    }
}

/// Service and handler names are parts of metric labels, keys and topic names.
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'))
}

/// A registration that cannot stand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RouteError {
    /// Two handlers want one topic.
    #[error("topic `{topic}` has two handlers, `{first}` and `{second}`; a topic has one")]
    TopicTwice {
        /// The topic.
        topic: String,
        /// The handler registered first.
        first: &'static str,
        /// The handler registered after it.
        second: &'static str,
    },
    /// Two registrations share a name, and so would share dedupe keys.
    #[error("handler name `{0}` is registered twice; names tell dedupe keys apart and must differ")]
    HandlerTwice(&'static str),
    /// The name does not fit where it is used.
    #[error("handler name `{0}` is not allowed; allowed are a-z, 0-9 and _")]
    BadName(&'static str),
    /// Nothing to consume.
    #[error("there are no routes; add one with `Routes::on(topic, handler)`")]
    Empty,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Context, DedupeKey, Metadata, Outcome, done};

    macro_rules! handler {
        ($type:ident, $name:literal) => {
            struct $type;
            impl Handler for $type {
                const NAME: &'static str = $name;
                type Event = u32;
                fn dedupe_key(&self, event: &u32, _: &Metadata) -> DedupeKey {
                    DedupeKey::of(event)
                }
                async fn handle(&self, _: &u32, _: &Context) -> Outcome {
                    done()
                }
            }
        };
    }
    handler!(Charge, "charge");
    handler!(ChargeAgain, "charge");
    handler!(Shout, "SHOUT!");

    #[test]
    fn merging_keeps_every_route() {
        handler!(Mail, "mail");
        let routes = Routes::new().on("orders", Charge).merge(Routes::new().on("receipts", Mail));
        assert_eq!(routes.topics().collect::<Vec<_>>(), ["orders", "receipts"]);
        assert_eq!(routes.handlers().collect::<Vec<_>>(), ["charge", "mail"]);
        assert_eq!(routes.check(), Ok(()));
    }

    #[test]
    fn every_clash_is_reported_at_once() {
        let routes = Routes::new()
            .on("orders", Charge)
            .merge(Routes::new().on("orders", ChargeAgain).on("loud", Shout));
        let problems = routes.check().unwrap_err();
        assert!(problems.contains(&RouteError::HandlerTwice("charge")), "{problems:?}");
        let twice = RouteError::TopicTwice { topic: "orders".into(), first: "charge", second: "charge" };
        assert!(problems.contains(&twice), "{problems:?}");
        assert!(problems.contains(&RouteError::BadName("SHOUT!")), "{problems:?}");
        assert_eq!(problems.len(), 3, "{problems:?}");
    }

    #[test]
    fn no_routes_is_a_problem_too() {
        assert_eq!(Routes::new().check(), Err(vec![RouteError::Empty]));
    }
}
