//! What a handler has published so far in one attempt, with ids that every attempt repeats.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use serde::{Deserialize, Serialize};

use super::{Publication, PublishError};
use crate::{
    Record,
    erased::Job,
    telemetry::{TRACEPARENT, TraceContext, spans},
};

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
    pub(crate) origin: Origin,
    /// Whose trace goes on.
    record: Arc<Record>,
    /// Made when it is asked for.
    trace: OnceLock<TraceContext>,
    state: Mutex<State>,
}

/// What the ids of the events out are made of, and where these may go.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    pub(crate) names: Arc<Names>,
    pub(crate) handler: &'static str,
    pub(crate) key: OriginKey,
}

/// What all events of a service have in common.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    pub(crate) service: Arc<str>,
    pub(crate) group: Arc<str>,
    /// The topics its handlers publish to: logical names to physical ones. `None`: anywhere.
    pub(crate) topics: Option<BTreeMap<String, String>>,
}

/// The dedupe key of the event, as it leaves the framework.
#[derive(Clone)]
pub(crate) enum OriginKey {
    /// That of an event, which need not be copied.
    Of(Arc<dyn Job>),
    Text(String),
}

impl OriginKey {
    fn as_str(&self) -> &str {
        match self {
            Self::Of(job) => job.key().as_str(),
            Self::Text(text) => text,
        }
    }
}

impl fmt::Display for OriginKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for OriginKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[derive(Debug, Default)]
struct State {
    events: Vec<Outgoing>,
    names: BTreeSet<String>,
    closed: bool,
}

impl Outbox {
    pub(crate) fn new(origin: Origin, record: Arc<Record>) -> Self {
        Self { origin, record, trace: OnceLock::new(), state: Mutex::default() }
    }

    /// With this span for its attempt.
    pub(crate) fn within(self, trace: TraceContext) -> Self {
        Self { trace: trace.into(), ..self }
    }

    pub(crate) fn trace(&self) -> &TraceContext {
        let of_record = || self.record.trace().map_or_else(spans::unrecorded_root, |trace| trace.child());
        self.trace.get_or_init(of_record)
    }

    pub(crate) fn add(&self, publication: Publication) -> Result<(), PublishError> {
        let Publication { topic, key, value, content_type, name, event_type } = publication;
        let Names { service, topics, .. } = &*self.origin.names;
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
        let mut headers = vec![
            header("ce_specversion", "1.0"),
            header("ce_id", &self.id(&name)),
            header("ce_source", service),
            header("ce_type", event_type.as_deref().unwrap_or(&topic)),
            header("content-type", content_type),
            header(TRACEPARENT, &self.trace().to_header_value()),
        ];
        // What other tracing systems have to say is handed on as it is.
        headers.extend(self.record.tracestate().map(|tracestate| header("tracestate", &tracestate)));
        state.events.push(Outgoing { topic, key, value, headers });
        Ok(())
    }

    /// The same at every attempt, on every pod and in every replay. Neither the handler's name nor that of the
    /// event holds `:` or `#`, so that two different origins never make one id.
    fn id(&self, name: &str) -> String {
        let Origin { handler, key, .. } = &self.origin;
        if key.as_str().len() <= READABLE_KEY {
            format!("{handler}:{key}:{name}")
        } else {
            format!("{handler}#{}:{name}", blake3::hash(key.as_str().as_bytes()).to_hex())
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

    /// Takes nothing any more, if nothing has been published.
    pub(crate) fn close_if_empty(&self) -> bool {
        let mut state = self.state();
        state.closed |= state.events.is_empty();
        state.closed
    }

    /// Takes everything, and nothing more after it.
    pub(crate) fn close(&self) -> Vec<Outgoing> {
        let mut state = self.state();
        state.closed = true;
        std::mem::take(&mut state.events)
    }

    #[cfg(feature = "testing")]
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

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn outbox(dedupe_key: &str) -> Outbox {
        let headers = [(TRACEPARENT, TRACE), ("tracestate", "vendor=1")];
        let headers = headers.into_iter().map(|(name, value)| crate::Header::text(name, value));
        let record = Record { headers: headers.collect(), ..crate::testing::record() };
        let names = Names {
            service: "payments".into(),
            group: "payments".into(),
            topics: Some([("settled".to_owned(), "prod.settled".to_owned())].into()),
        };
        let key = OriginKey::Text(dedupe_key.to_owned());
        Outbox::new(Origin { names: Arc::new(names), handler: "charge", key }, Arc::new(record))
    }

    fn event(key: &str) -> Publication {
        Publication::json("settled", key, &1).unwrap()
    }

    fn ids(outbox: &Outbox) -> Vec<String> {
        let id = |event: Outgoing| event.headers.into_iter().find(|(name, _)| name == "ce_id").unwrap().1;
        outbox.events().into_iter().map(id).collect()
    }

    #[test]
    fn ids_are_the_same_at_every_attempt_and_never_those_of_another_event() {
        let of = |key: &str| {
            let outbox = outbox(key);
            outbox.add(event("a")).unwrap();
            outbox.add(event("b").named("receipt")).unwrap();
            outbox.add(event("c")).unwrap();
            ids(&outbox)
        };
        assert_eq!(of("p1"), ["charge:p1:0", "charge:p1:receipt", "charge:p1:2"]);
        let long = "p".repeat(READABLE_KEY + 1);
        assert_eq!(of(&long), of(&long));
        assert!(of(&long)[0].len() < 100, "{:?}", of(&long));
        let digest = blake3::hash(long.as_bytes()).to_hex();
        let keys = ["p", "p:0", "p#", &long, &format!("#{digest}"), &format!(":{digest}")];
        let all: BTreeSet<String> = keys.iter().flat_map(|key| of(key)).collect();
        assert_eq!(all.len(), 3 * keys.len(), "{all:?}");
    }

    #[test]
    fn what_cannot_be_published_says_why() {
        let outbox = outbox("p1");
        let elsewhere = Publication::json("elsewhere", "", &1).unwrap();
        assert_eq!(outbox.add(elsewhere), Err(PublishError::Undeclared("elsewhere".into())));
        for name in ["", "0", "Receipt", "a:b", "a#b"] {
            assert_eq!(outbox.add(event("").named(name)), Err(PublishError::BadName(name.into())));
        }
        outbox.add(event("").named("receipt")).unwrap();
        assert_eq!(outbox.add(event("").named("receipt")), Err(PublishError::SameName("receipt".into())));
        assert_eq!(outbox.close().len(), 1);
        assert_eq!(outbox.add(event("")), Err(PublishError::TooLate("settled".into())));
        assert_eq!(outbox.events(), []);
    }

    #[test]
    fn what_was_stored_comes_back_byte_for_byte() {
        let first = outbox("p1");
        let value = b"\xc3\x28\x00".to_vec();
        first.add(Publication { value: value.clone(), ..event("user") }).unwrap();
        first.add(event("\"quoted\"")).unwrap();
        let text = first.to_text().unwrap();
        assert!(text.contains(r#""key":"user""#), "readable where it is text: {text}");
        let second = outbox("p1");
        second.add(event("something else")).unwrap();
        second.restore(&text).unwrap();
        assert_eq!(second.events(), first.events());
        assert_eq!(second.close()[0].value, value);
        assert!(matches!(second.restore("no JSON"), Err(PublishError::Stored(_))));
        assert_eq!(outbox("p1").to_text().unwrap(), "[]");
    }

    #[test]
    fn the_trace_goes_on() {
        let outbox = outbox("p1");
        outbox.add(event("")).unwrap();
        let headers = outbox.events().remove(0).headers;
        let header =
            |wanted: &str| headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
        let (trace, received) = (outbox.trace(), TraceContext::parse(TRACE.as_bytes()).unwrap());
        assert_eq!(header("traceparent"), Some(trace.to_header_value().as_str()));
        assert_eq!(trace.trace_id(), received.trace_id());
        assert_ne!(trace.span_id(), received.span_id());
        assert_eq!(header("tracestate"), Some("vendor=1"));
    }

    #[test]
    fn what_others_say_of_a_trace_goes_on_up_to_what_the_standard_asks_for() {
        let handed_on = |length: usize| {
            let headers = [(TRACEPARENT, TRACE.to_owned()), ("tracestate", "x".repeat(length))];
            let headers = headers.map(|(name, value)| crate::Header::text(name, value)).to_vec();
            Record { headers, ..crate::testing::record() }.tracestate().map(|text| text.len())
        };
        assert_eq!((handed_on(512), handed_on(513)), (Some(512), None));
    }
}
