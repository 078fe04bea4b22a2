//! One record on its way to Kafka.

use std::time::SystemTime;

use super::{Deed, Process, Span, TRACER, TraceContext, Tracer, span::Kind};
use crate::{Header, pipeline::NewRecord, telemetry::TRACEPARENT};

/// A record that is being sent: the span that whoever reads it goes on from. Told when the broker has it.
#[derive(Debug)]
pub(crate) struct Sending {
    tracer: &'static Tracer,
    context: TraceContext,
    parent: Option<TraceContext>,
    link: Option<TraceContext>,
    topic: String,
    began: SystemTime,
}

impl Sending {
    /// The first span of a new trace, and what is to be told of it, if anybody records it.
    pub(crate) fn first(topic: &str) -> (TraceContext, Option<Self>) {
        let Some(tracer) = TRACER.get() else { return (TraceContext::root(), None) };
        let context = tracer.sampling.child_of(None);
        (context, context.is_sampled().then(|| Self::new(tracer, context, None, topic)))
    }

    /// Sends this (an event out, a letter, a copy) from within an attempt, or the process itself, and writes so into the record: in the place of what
    /// stood there, or beside what somebody else has written.
    pub(crate) fn from(
        process: &Process,
        parent: Option<TraceContext>,
        record: &mut NewRecord,
        beside: bool,
    ) -> Option<Self> {
        let tracer = TRACER.get()?;
        let (context, parent) = match parent {
            Some(parent) => (parent.child(), parent),
            None => (process.part(), process.context()),
        };
        if !beside {
            record.headers.retain(|header| header.name != TRACEPARENT);
        }
        record.headers.push(Header::text(TRACEPARENT, context.to_header_value()));
        Some(Self::new(tracer, context, Some(parent), &record.topic))
    }

    /// Sends it again because a person wants it: in the trace of its event where it has one, otherwise in the deed's own.
    /// Written beside what stands there, which is somebody else's.
    pub(crate) fn again(deed: &Deed, record: &mut NewRecord) -> Option<Self> {
        let tracer = TRACER.get()?;
        let headers = record.headers.iter().map(|header| (&header.name, header.value.as_deref()));
        let event = TraceContext::from_headers(headers);
        let parent = event.unwrap_or(deed.context());
        let context = parent.child();
        if !context.is_sampled() {
            return None;
        }
        record.headers.push(Header::text(TRACEPARENT, context.to_header_value()));
        let link = event.map(|_| deed.context());
        Some(Self { link, ..Self::new(tracer, context, Some(parent), &record.topic) })
    }

    fn new(
        tracer: &'static Tracer,
        context: TraceContext,
        parent: Option<TraceContext>,
        topic: &str,
    ) -> Self {
        Self { tracer, context, parent, link: None, topic: topic.to_owned(), began: SystemTime::now() }
    }

    /// It had to wait until now.
    pub(crate) fn begun_now(self) -> Self {
        Self { began: SystemTime::now(), ..self }
    }

    /// The broker has it.
    pub(crate) fn acknowledged(self) {
        let Tracer { names, client_id, exporter, .. } = self.tracer;
        exporter.take(Span {
            context: self.context,
            parent: self.parent,
            link: self.link,
            is_remote: false,
            kind: Kind::Producer,
            name: format!("send {}", self.topic),
            began: self.began,
            ended: SystemTime::now(),
            attributes: names.of("send", &self.topic, client_id),
            error: None,
        });
    }
}
