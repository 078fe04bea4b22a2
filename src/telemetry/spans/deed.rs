//! What a person has done with many records at once: a span of its own, to which the spans of the records link. These
//! stay in the traces of their events.

use std::{sync::Arc, time::SystemTime};

use super::{Span, TRACER, TraceContext, Tracer, names::Renamed, span::Kind};

/// A redrive or a replay.
#[derive(Debug)]
pub(crate) struct Deed {
    tracer: &'static Tracer,
    context: TraceContext,
    verb: &'static str,
    group: String,
    id: String,
    began: SystemTime,
}

impl Deed {
    /// It begins, under the name by which it is written down. `None` where nobody records it.
    pub(crate) fn begin(verb: &'static str, group: &str, id: &str) -> Option<Arc<Self>> {
        let tracer = TRACER.get()?;
        let context = tracer.sampling.child_of(None);
        context.is_sampled().then(|| {
            let (group, id) = (group.to_owned(), id.to_owned());
            Arc::new(Self { tracer, context, verb, group, id, began: SystemTime::now() })
        })
    }

    pub(super) fn context(&self) -> TraceContext {
        self.context
    }

    /// So many records were sent, or run, and what ended it before its time.
    pub(crate) fn end(&self, records: u64, error: Option<String>) {
        let Tracer { names, client_id, exporter, .. } = self.tracer;
        let mut attributes = vec![
            ("messaging.consumer.group.name", self.group.clone().into()),
            ("messaging.client.id", client_id.clone().into()),
            ("messaging.batch.message_count", i64::try_from(records).unwrap_or(i64::MAX).into()),
            ("oncewise.act", self.id.clone().into()),
        ];
        names.put(&mut attributes, Renamed::System, "kafka");
        exporter.take(Span {
            context: self.context,
            parent: None,
            link: None,
            is_remote: false,
            kind: Kind::Internal,
            name: format!("{} {}", self.verb, self.group),
            began: self.began,
            ended: SystemTime::now(),
            attributes,
            error,
        });
    }
}
