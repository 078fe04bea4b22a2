//! The work on one record, and the attempts of its handler within.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use super::{
    Deed, Span, TRACER, TraceContext, Tracer,
    names::Renamed,
    span::{Kind, Value},
};
use crate::{
    Record,
    publication::Names as ServiceNames,
    telemetry::metrics::{AttemptOutcome, Disposition, Label, Outcome},
};

/// The work on one record, from when it was decoded until it is settled. Its parent is whoever wrote the record.
#[derive(Debug)]
pub(crate) struct Process {
    tracer: &'static Tracer,
    context: TraceContext,
    parent: Option<TraceContext>,
    record: Arc<Record>,
    names: Arc<ServiceNames>,
    handler: Option<&'static str>,
    link: Option<TraceContext>,
    began: SystemTime,
    /// Something has happened within that is told by itself.
    has_parts: AtomicBool,
    has_ended: AtomicBool,
}

impl Process {
    /// Work begins, maybe because somebody has ordered it. `None` where nobody records it.
    #[inline]
    pub(crate) fn begin(
        record: &Arc<Record>,
        names: &Arc<ServiceNames>,
        handler: Option<&'static str>,
        deed: Option<&Deed>,
    ) -> Option<Arc<Self>> {
        let tracer = TRACER.get()?;
        let parent = record.trace();
        let context = tracer.sampling.child_of(parent.as_ref());
        context.is_sampled().then(|| {
            Arc::new(Self {
                tracer,
                context,
                parent,
                record: Arc::clone(record),
                names: Arc::clone(names),
                handler,
                link: deed.map(Deed::context),
                began: SystemTime::now(),
                has_parts: AtomicBool::new(false),
                has_ended: AtomicBool::new(false),
            })
        })
    }

    pub(super) fn context(&self) -> TraceContext {
        self.context
    }

    /// A span within, which is to be told when it has ended.
    pub(crate) fn part(&self) -> TraceContext {
        self.has_parts.store(true, Relaxed);
        self.context.child()
    }

    /// The record is settled.
    pub(crate) fn end(&self, outcome: Outcome, disposition: Option<Disposition>) {
        if !self.has_ended.swap(true, Relaxed) {
            self.tell(outcome.as_str(), disposition);
        }
    }

    /// One call of the handler, as its part `context`, has just ended.
    pub(crate) fn attempt(
        &self,
        context: TraceContext,
        attempt: u32,
        outcome: AttemptOutcome,
        took: Duration,
        error: Option<String>,
    ) {
        let ended = SystemTime::now();
        let mut attributes: Vec<(&'static str, Value)> = vec![
            ("oncewise.attempt", i64::from(attempt).into()),
            ("oncewise.outcome", outcome.as_str().into()),
        ];
        attributes.extend(error.is_some().then(|| ("error.type", outcome.as_str().into())));
        self.tracer.exporter.take(Span {
            context,
            parent: Some(self.context),
            link: None,
            is_remote: false,
            kind: Kind::Internal,
            name: self.handler.unwrap_or("attempt").to_owned(),
            began: ended.checked_sub(took).unwrap_or(ended),
            ended,
            attributes,
            error,
        });
    }

    fn tell(&self, outcome: &'static str, disposition: Option<Disposition>) {
        let Tracer { names, keys, client_id, exporter, .. } = self.tracer;
        let Record { topic, partition, offset, key, value, .. } = &*self.record;
        let mut attributes = names.of("process", topic, client_id);
        names.put(&mut attributes, Renamed::Offset, *offset);
        if value.is_none() {
            names.put(&mut attributes, Renamed::Tombstone, true);
        }
        if let Some(key) = key.as_ref().filter(|_| *keys) {
            names.put(&mut attributes, Renamed::Key, String::from_utf8_lossy(key).into_owned());
        }
        attributes.extend([
            ("messaging.destination.partition.id", partition.to_string().into()),
            ("messaging.consumer.group.name", self.names.group.to_string().into()),
            ("oncewise.service", self.names.service.to_string().into()),
            ("oncewise.outcome", outcome.into()),
        ]);
        attributes.extend(self.handler.map(|handler| ("oncewise.handler", handler.into())));
        attributes.extend(disposition.map(|why| ("error.type", why.as_str().into())));
        exporter.take(Span {
            context: self.context,
            parent: self.parent,
            link: self.link,
            is_remote: true,
            kind: Kind::Consumer,
            name: format!("process {topic}"),
            began: self.began,
            ended: SystemTime::now(),
            attributes,
            error: disposition.map(|why| format!("dead-lettered: {}", why.as_str())),
        });
    }
}

/// Given back, to whoever has the partition next: what has happened here needs its place all the same.
impl Drop for Process {
    fn drop(&mut self) {
        if *self.has_parts.get_mut() && !*self.has_ended.get_mut() {
            self.tell("given_back", None);
        }
    }
}
