//! A collector of traces that takes OTLP over HTTP.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use opentelemetry_proto::tonic::{
    collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse},
    common::v1::{KeyValue, any_value::Value},
    trace::v1::Span,
};
use prost::Message;
use tokio::{net::TcpListener, task::JoinHandle};

/// A collector on a port of its own; gone when dropped.
#[derive(Debug)]
pub struct Collector {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

/// A span, as far as tests look at it; ids in hexadecimal, attributes as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// `service.name` of whoever sent it.
    pub service: String,
    /// What the collector was told in the header `x-tenant`.
    pub tenant: String,
    pub trace: String,
    pub id: String,
    /// Empty where it has none.
    pub parent: String,
    /// The ids of the spans that it is linked to.
    pub links: Vec<String>,
    pub kind: i32,
    pub name: String,
    pub attributes: BTreeMap<String, String>,
    /// What went wrong.
    pub error: Option<String>,
    pub took_ns: u64,
}

impl Seen {
    /// An attribute, or nothing.
    pub fn is(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }
}

impl Collector {
    pub async fn start() -> Collector {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let router = Router::new().route("/v1/traces", post(take)).with_state(Arc::clone(&seen));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.expect("a collector") });
        Collector { address, seen, task }
    }

    /// What is given to a worker as `telemetry.otlp_endpoint`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every span so far.
    pub fn spans(&self) -> Vec<Seen> {
        self.seen.lock().expect("no test panics with it").clone()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn take(
    State(seen): State<Arc<Mutex<Vec<Seen>>>>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, Vec<u8>) {
    let header =
        |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    assert_eq!(header("content-type"), "application/x-protobuf");
    let request = ExportTraceServiceRequest::decode(body).expect("OTLP");
    for of_resource in request.resource_spans {
        let resource = attributes(of_resource.resource.unwrap_or_default().attributes);
        let service = resource.get("service.name").cloned().unwrap_or_default();
        let spans = of_resource.scope_spans.into_iter().flat_map(|of_scope| of_scope.spans);
        let spans = spans.map(|span| seen_of(span, &service, &header("x-tenant")));
        seen.lock().expect("no test panics with it").extend(spans);
    }
    (StatusCode::OK, ExportTraceServiceResponse::default().encode_to_vec())
}

fn seen_of(span: Span, service: &str, tenant: &str) -> Seen {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let status = span.status.unwrap_or_default();
    Seen {
        service: service.to_owned(),
        tenant: tenant.to_owned(),
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        links: span.links.iter().map(|link| hex(&link.span_id)).collect(),
        kind: span.kind,
        name: span.name,
        attributes: attributes(span.attributes),
        // 2 is `STATUS_CODE_ERROR`.
        error: (status.code == 2).then_some(status.message),
        took_ns: span.end_time_unix_nano - span.start_time_unix_nano,
    }
}

fn attributes(pairs: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |value: Value| match value {
        Value::StringValue(text) => text,
        Value::IntValue(number) => number.to_string(),
        Value::BoolValue(flag) => flag.to_string(),
        other => format!("{other:?}"),
    };
    let value =
        |pair: KeyValue| (pair.key, pair.value.and_then(|value| value.value).map_or_else(String::new, text));
    pairs.into_iter().map(value).collect()
}
