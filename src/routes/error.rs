//! Registrations that cannot stand.

use std::collections::{BTreeMap, BTreeSet};

use super::{Entry, Kind, is_name};
use crate::erased::ErasedHandler;

/// A registration that cannot stand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RouteError {
    /// Two handlers want every record of one topic.
    #[error(
        "topic `{topic}` has two handlers for every record, `{first}` and `{second}`; it can have one, or one for each type (`Routes::on_type`)"
    )]
    TopicTwice {
        /// The topic.
        topic: String,
        /// The handler registered first.
        first: &'static str,
        /// The handler registered after it.
        second: &'static str,
    },
    /// Two handlers want one type of a topic.
    #[error(
        "type `{event_type}` of topic `{topic}` has two handlers, `{first}` and `{second}`; a type has one"
    )]
    TypeTwice {
        /// The topic.
        topic: String,
        /// The type.
        event_type: String,
        /// The handler registered first.
        first: &'static str,
        /// The handler registered after it.
        second: &'static str,
    },
    /// One handler wants every record of a topic, and others some types of it.
    #[error(
        "topic `{topic}` has a handler for every record, `{whole}`, and one for a type, `{typed}`; it can have the one or the other"
    )]
    Mixed {
        /// The topic.
        topic: String,
        /// The handler for every record.
        whole: &'static str,
        /// The first one for a type.
        typed: &'static str,
    },
    /// An empty text says nothing.
    #[error("topic `{topic}`: {what} is empty")]
    EmptyName {
        /// The topic.
        topic: String,
        /// What is empty.
        what: &'static str,
    },
    /// A setting has no use there.
    #[error("`Routes::{setting}` of topic `{topic}` has no effect: the topic has {lacks}")]
    NoEffect {
        /// The topic.
        topic: String,
        /// What was called.
        setting: &'static str,
        /// What the topic would need.
        lacks: &'static str,
    },
    /// A setting was made twice, and differently.
    #[error("`Routes::{setting}` of topic `{topic}` is called twice with different answers")]
    SetTwice {
        /// The topic.
        topic: String,
        /// What was called.
        setting: &'static str,
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

/// Everything that cannot stand.
pub(super) fn problems(entries: &[Entry]) -> Vec<RouteError> {
    let mut problems = Vec::new();
    let mut names = BTreeSet::new();
    let mut topics: BTreeMap<&str, Vec<&Kind>> = BTreeMap::new();
    for Entry { topic, kind } in entries {
        topics.entry(topic).or_default().push(kind);
        let Kind::Handler { handler, .. } = kind else { continue };
        if !is_name(handler.name()) {
            problems.push(RouteError::BadName(handler.name()));
        }
        if !names.insert(handler.name()) {
            problems.push(RouteError::HandlerTwice(handler.name()));
        }
    }
    if names.is_empty() {
        problems.push(RouteError::Empty);
    }
    problems.extend(topics.iter().flat_map(|(topic, kinds)| of_topic(topic, kinds)));
    // One mistake made three times is one problem.
    let mut seen: Vec<RouteError> = Vec::new();
    problems.retain(|problem| {
        !seen.contains(problem) && {
            seen.push(problem.clone());
            true
        }
    });
    problems
}

fn of_topic(topic: &str, kinds: &[&Kind]) -> Vec<RouteError> {
    let mut problems = Vec::new();
    let topic = || topic.to_owned();
    let mut whole: Option<&dyn ErasedHandler> = None;
    let mut typed: BTreeMap<&str, &'static str> = BTreeMap::new();
    let (mut headers, mut policies) = (BTreeSet::new(), BTreeSet::new());
    for kind in kinds {
        match kind {
            Kind::Handler { event_type: None, handler } => match whole {
                Some(first) => problems.push(RouteError::TopicTwice {
                    topic: topic(),
                    first: first.name(),
                    second: handler.name(),
                }),
                None => whole = Some(&**handler),
            },
            Kind::Handler { event_type: Some(event_type), handler } => {
                if event_type.is_empty() {
                    problems.push(RouteError::EmptyName { topic: topic(), what: "the type of an event" });
                }
                match typed.get(event_type.as_str()) {
                    Some(first) => problems.push(RouteError::TypeTwice {
                        topic: topic(),
                        event_type: event_type.clone(),
                        first,
                        second: handler.name(),
                    }),
                    None => drop(typed.insert(event_type, handler.name())),
                }
            }
            Kind::TypeHeader(header) => {
                if header.is_empty() {
                    problems.push(RouteError::EmptyName { topic: topic(), what: "the header of the type" });
                }
                headers.insert(header);
            }
            Kind::Unknown(unknown) => drop(policies.insert(unknown)),
        }
    }
    if let (Some(whole), Some(typed)) = (whole, typed.values().next()) {
        problems.push(RouteError::Mixed { topic: topic(), whole: whole.name(), typed });
    }
    let mut setting = |setting, values: usize, lacks: Option<&'static str>| {
        if let (1.., Some(lacks)) = (values, lacks) {
            problems.push(RouteError::NoEffect { topic: topic(), setting, lacks });
        }
        if values > 1 {
            problems.push(RouteError::SetTwice { topic: topic(), setting });
        }
    };
    let no_typed = typed.is_empty().then_some("no handlers told apart by type (`Routes::on_type`)");
    setting("type_header", headers.len(), no_typed);
    setting("unknown", policies.len(), no_typed.filter(|_| whole.is_none()).map(|_| "no handler"));
    problems
}
