//! Spans on their way to a collector: OTLP in Protocol Buffers over HTTP, from a thread of its own.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use opentelemetry::{
    InstrumentationScope, KeyValue, Value as Attribute,
    trace::{Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState},
};
use opentelemetry_otlp::{Protocol, SpanExporter as OtlpExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{
        BatchConfigBuilder, BatchSpanProcessor, SpanData, SpanEvents, SpanExporter, SpanLinks, SpanProcessor,
    },
};
use rustls::crypto::ring;

use super::{
    Span, TraceContext,
    span::{Kind, Value},
};
use crate::config::{Secret, TelemetrySettings};

/// Where collectors listen, below their address.
const PATH: &str = "/v1/traces";
/// How long a collector may take for one batch.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long a worker that ends waits for it.
const FLUSH: Duration = Duration::from_secs(3);

/// Takes spans, from any thread, without waiting: what its queue (2,048 spans, or `OTEL_BSP_MAX_QUEUE_SIZE`) does not
/// take is lost.
#[derive(Debug)]
pub(super) struct Exporter {
    processor: BatchSpanProcessor,
    scope: InstrumentationScope,
    taken: AtomicU64,
    sent: Arc<AtomicU64>,
}

impl Exporter {
    pub(super) fn open(settings: &TelemetrySettings, service: &str) -> Result<Self, String> {
        // Somebody else in the process may have chosen already; whoever was first counts.
        drop(ring::default_provider().install_default());
        let endpoint = settings.otlp_endpoint.as_deref().map(below);
        let is_plain = endpoint.as_deref().is_some_and(|endpoint| endpoint.starts_with("http:"));
        let client =
            reqwest::blocking::Client::builder().timeout(TIMEOUT).redirect(reqwest::redirect::Policy::none());
        // Who speaks in clear needs no certificates, and small images have none.
        let client = if is_plain { client.tls_certs_only([]) } else { client };
        let client = client.build().map_err(|error| format!("telemetry.otlp_endpoint: {error}"))?;
        let mut builder = OtlpExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_protocol(Protocol::HttpBinary)
            .with_timeout(TIMEOUT)
            .with_headers(headers(settings.otlp_headers.as_ref()));
        if let Some(endpoint) = endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        let exporter = builder.build().map_err(|error| format!("telemetry.otlp_endpoint: {error}"))?;
        let sent = Arc::new(AtomicU64::new(0));
        let watched = Watched { exporter, is_away: AtomicBool::new(false), sent: Arc::clone(&sent) };
        let mut processor = BatchSpanProcessor::new(watched, BatchConfigBuilder::default().build());
        processor.set_resource(&resource(service));
        let scope = InstrumentationScope::builder("oncewise").with_version(env!("CARGO_PKG_VERSION")).build();
        Ok(Self { processor, scope, taken: AtomicU64::new(0), sent })
    }

    pub(super) fn take(&self, span: Span) {
        self.taken.fetch_add(1, Relaxed);
        self.processor.on_end(data(span, &self.scope));
    }

    pub(super) fn flush(&self) {
        let ended = self.processor.shutdown_with_timeout(FLUSH);
        let lost = self.taken.load(Relaxed).saturating_sub(self.sent.load(Relaxed));
        if ended.is_err() || lost > 0 {
            tracing::warn!(spans = lost, "spans are lost: the collector was away, or slower than the work");
        }
    }
}

/// The address of a collector as the standard's variable has it: without the path of what is sent.
fn below(endpoint: &str) -> String {
    let endpoint = endpoint.trim_end_matches('/');
    if endpoint.ends_with(PATH) { endpoint.to_owned() } else { format!("{endpoint}{PATH}") }
}

/// `name=value`, with commas between them.
fn headers(text: Option<&Secret>) -> HashMap<String, String> {
    let pairs = text.map(Secret::reveal).unwrap_or_default().split(',');
    let pair = |pair: &str| {
        pair.split_once('=').map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
    };
    pairs.filter_map(pair).collect()
}

/// Who sends; `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` know better.
fn resource(service: &str) -> Resource {
    let named = |name: &str| {
        std::env::var(name).is_ok_and(|value| value.contains("service.name") || name == "OTEL_SERVICE_NAME")
    };
    let builder = Resource::builder();
    let known = ["OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES"].into_iter().any(named);
    if known { builder.build() } else { builder.with_service_name(service.to_owned()).build() }
}

/// The exporter, and what it last came to: a collector that is away is worth one warning.
#[derive(Debug)]
struct Watched {
    exporter: OtlpExporter,
    is_away: AtomicBool,
    sent: Arc<AtomicU64>,
}

impl SpanExporter for Watched {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = u64::try_from(batch.len()).unwrap_or(u64::MAX);
        let ended = self.exporter.export(batch).await;
        match &ended {
            Ok(()) => {
                self.sent.fetch_add(spans, Relaxed);
                if self.is_away.swap(false, Relaxed) {
                    tracing::info!("the collector of traces is back");
                }
            }
            Err(error) if !self.is_away.swap(true, Relaxed) => {
                tracing::warn!(%error, "the collector of traces is away: spans are lost until it is back, and nothing else");
            }
            Err(_) => {}
        }
        ended
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

fn data(span: Span, scope: &InstrumentationScope) -> SpanData {
    let id = |context: &TraceContext| SpanId::from_bytes(context.span_bits().to_be_bytes());
    let kind = match span.kind {
        Kind::Consumer => SpanKind::Consumer,
        Kind::Producer => SpanKind::Producer,
        Kind::Internal => SpanKind::Internal,
    };
    let place = |context: &TraceContext| {
        let trace = TraceId::from_bytes(context.trace_bits().to_be_bytes());
        SpanContext::new(trace, id(context), TraceFlags::SAMPLED, false, TraceState::NONE)
    };
    let mut links = SpanLinks::default();
    links.links.extend(span.link.iter().map(|link| Link::with_context(place(link))));
    SpanData {
        span_context: place(&span.context),
        parent_span_id: span.parent.as_ref().map_or(SpanId::INVALID, id),
        parent_span_is_remote: span.is_remote && span.parent.is_some(),
        span_kind: kind,
        name: span.name.into(),
        start_time: span.began,
        end_time: span.ended,
        attributes: span.attributes.into_iter().map(attribute).collect(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links,
        status: span.error.map_or(Status::Unset, Status::error),
        instrumentation_scope: scope.clone(),
    }
}

fn attribute((name, value): (&'static str, Value)) -> KeyValue {
    let value = match value {
        Value::Text(text) => Attribute::String(text.into()),
        Value::Integer(number) => Attribute::I64(number),
        Value::Flag(flag) => Attribute::Bool(flag),
    };
    KeyValue::new(name, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_taken_with_and_without_its_path() {
        for endpoint in
            ["http://c:4318", "http://c:4318/", "http://c:4318/v1/traces", "http://c:4318/v1/traces/"]
        {
            assert_eq!(below(endpoint), "http://c:4318/v1/traces");
        }
        assert_eq!(below("https://c/otlp"), "https://c/otlp/v1/traces");
    }

    #[test]
    fn headers_are_pairs() {
        let found = headers(Some(&Secret::new("authorization=Basic YTpi==, x-tenant = shop,")));
        let expected = [("authorization", "Basic YTpi=="), ("x-tenant", "shop")];
        assert_eq!(found, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
        assert!(headers(None).is_empty());
    }
}
