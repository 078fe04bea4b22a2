//! Spans: what became of a record here, for whoever collects traces.
//!
//! Off unless `telemetry.otlp_endpoint`, or the standard's own variable, names a collector; what it costs then is one
//! branch for each record. A span names records by their coordinates: payloads are never in it, keys only where
//! somebody asks for them. Work never waits for it: what the queue or the collector does not take is lost.

mod deed;
mod names;
#[cfg(not(feature = "otlp"))]
#[path = "no_otlp.rs"]
mod otlp;
#[cfg(feature = "otlp")]
mod otlp;
mod process;
mod sampling;
mod sending;
mod span;

use std::sync::OnceLock;

use crate::config::TelemetrySettings;
use names::Names;
use otlp::Exporter;
use sampling::Sampling;
use span::Span;

use super::TraceContext;

pub(crate) use deed::Deed;
pub(crate) use process::Process;
pub(crate) use sending::Sending;

static TRACER: OnceLock<Tracer> = OnceLock::new();

/// What every span of this process has in common.
#[derive(Debug)]
struct Tracer {
    exporter: Exporter,
    sampling: Sampling,
    names: Names,
    /// Whether keys of records may be seen.
    keys: bool,
    client_id: String,
}

/// Spans go to the collector from now on, if there is one: those of `service`, as far as the environment does not
/// name it otherwise.
///
/// # Errors
/// The collector's address, or what it is to be sent, cannot be used.
pub(crate) fn open(settings: &TelemetrySettings, client_id: &str, service: &str) -> Result<(), String> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let named =
        ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"].into_iter().find_map(variable);
    let refused = variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"))
        || variable("OTEL_TRACES_EXPORTER").is_some_and(|value| value == "none");
    let wanted = settings.otlp_endpoint.is_some() || named.is_some() && cfg!(feature = "otlp");
    if refused || !wanted {
        return Ok(());
    }
    let exporter = Exporter::open(settings, service)?;
    let tracer = Tracer {
        exporter,
        sampling: Sampling::new(settings.trace_ratio, variable),
        names: Names::new(variable("OTEL_SEMCONV_STABILITY_OPT_IN").as_deref().unwrap_or_default()),
        keys: settings.trace_keys,
        client_id: client_id.to_owned(),
    };
    // A second one would divide the traces of this process.
    drop(TRACER.set(tracer));
    Ok(())
}

/// Waits until what has ended is with the collector, for a moment.
pub(crate) fn flush() {
    if let Some(tracer) = TRACER.get() {
        tracer.exporter.flush();
    }
}

/// The first span of a new trace. Where nobody here has recorded its beginning, others need not record the rest.
pub(crate) fn unrecorded_root() -> TraceContext {
    TraceContext::root().sampled(TRACER.get().is_none())
}
