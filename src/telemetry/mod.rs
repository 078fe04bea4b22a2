//! What a worker tells the outside: metrics, probes, logs and the trace a record belongs to.

mod health;
mod http;
mod log_fields;
mod logs;
pub mod metrics;
mod probes;
pub(crate) mod spans;
mod trace_context;

pub use health::{Health, ServiceHealth};
pub use http::{BindError, bind, serve};
pub use logs::{DEFAULT_FILTER, LogError, LogFormat, init};
pub use metrics::{HandlerMetrics, Metrics, PartitionMetrics, ServiceMetrics};
pub use probes::{Answer, Paused, ServiceSnapshot, Snapshot};
pub use trace_context::{TRACEPARENT, TraceContext};
