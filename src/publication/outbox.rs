//! What a handler has published so far in one attempt, with ids that every attempt repeats.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};

use super::{Publication, PublishError};
use crate::telemetry::{TRACEPARENT, TraceContext};

/// A dedupe key of up to this many bytes stands in the ids of the events out as it is; of a longer one, its digest.
const READABLE_KEY: usize = 256;

/// One event out, as it will stand in its topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Outgoing {
    /// Logical name.
    pub(crate) topic: String,
    #[serde(with = "super::text")]
    pub(crate) key: Vec<u8>,
    #[serde(with = "super::text")]
    pub(crate) value: Vec<u8>,
    pub(crate) headers: Vec<(String, String)>,
}

/// The events out of one attempt. It closes when the handler returns.
#[derive(Debug)]
pub(crate) struct Outbox {
    origin: Origin,
    state: Mutex<State>,
}

/// What the ids of the events out are made of, and where these may go.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    pub(crate) service: Arc<str>,
    pub(crate) handler: &'static str,
    pub(crate) dedupe_key: Arc<str>,
    pub(crate) trace: TraceContext,
    /// By their logical names; `None`: anywhere.
    pub(crate) topics: Option<Arc<BTreeMap<String, String>>>,
}

#[derive(Debug, Default)]
struct State {
    events: Vec<Outgoing>,
    names: BTreeSet<String>,
    closed: bool,
}

impl Outbox {
    pub(crate) fn new(origin: Origin) -> Self {
        Self { origin, state: Mutex::default() }
    }

    pub(crate) fn trace(&self) -> &TraceContext {
        &self.origin.trace
    }

    pub(crate) fn add(&self, publication: Publication) -> Result<(), PublishError> {
        let Publication { topic, key, value, content_type, name, event_type } = publication;
        let Origin { service, topics, trace, .. } = &self.origin;
        if topics.as_ref().is_some_and(|topics| !topics.contains_key(&topic)) {
            return Err(PublishError::Undeclared(topic));
        }
        if let Some(name) = name.as_ref().filter(|name| !is_name(name)) {
            return Err(PublishError::BadName(name.clone()));
        }
        let mut state = self.state();
        if state.closed {
            return Err(PublishError::TooLate(topic));
        }
        let name = name.unwrap_or_else(|| state.events.len().to_string());
        if !state.names.insert(name.clone()) {
            return Err(PublishError::SameName(name));
        }
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let headers = vec![
            header("ce_specversion", "1.0"),
            header("ce_id", &self.id(&name)),
            header("ce_source", service),
            header("ce_type", event_type.as_deref().unwrap_or(&topic)),
            header("content-type", content_type),
            header(TRACEPARENT, &trace.to_header_value()),
        ];
        state.events.push(Outgoing { topic, key, value, headers });
        Ok(())
    }

    /// The same at every attempt, on every pod and in every replay. Neither the handler's name nor that of the
    /// event holds `:` or `#`, so that two different origins never make one id.
    fn id(&self, name: &str) -> String {
        let Origin { handler, dedupe_key, .. } = &self.origin;
        if dedupe_key.len() <= READABLE_KEY {
            format!("{handler}:{dedupe_key}:{name}")
        } else {
            format!("{handler}#{}:{name}", blake3::hash(dedupe_key.as_bytes()).to_hex())
        }
    }

    /// What has been published, as text to be stored with the mark of the effect.
    pub(crate) fn to_text(&self) -> Result<String, PublishError> {
        serde_json::to_string(&self.state().events).map_err(|error| PublishError::Stored(error.to_string()))
    }

    /// Puts what had been stored in the place of what has been published.
    pub(crate) fn restore(&self, text: &str) -> Result<(), PublishError> {
        let events: Vec<Outgoing> =
            serde_json::from_str(text).map_err(|error| PublishError::Stored(error.to_string()))?;
        let mut state = self.state();
        state.names = (0..events.len()).map(|position| position.to_string()).collect();
        state.events = events;
        Ok(())
    }

    /// Forgets what has been published so far.
    pub(crate) fn clear(&self) {
        let mut state = self.state();
        state.events.clear();
        state.names.clear();
    }

    /// Takes everything, and nothing more after it.
    pub(crate) fn close(&self) -> Vec<Outgoing> {
        let mut state = self.state();
        state.closed = true;
        std::mem::take(&mut state.events)
    }

    pub(crate) fn events(&self) -> Vec<Outgoing> {
        self.state().events.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Never a number, which is what events without a name are called.
fn is_name(name: &str) -> bool {
    crate::routes::is_name(name) && name.starts_with(|first: char| first.is_ascii_lowercase())
}
