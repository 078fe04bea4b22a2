
mod health;
mod http;
mod log_fields;
mod logs;
pub mod metrics;
mod probes;

pub use health::{Health, ServiceHealth};
pub use http::{BindError, bind, serve};
pub use logs::{DEFAULT_FILTER, LogError, LogFormat, init};
pub use metrics::{HandlerMetrics, Metrics, PartitionMetrics, ServiceMetrics};
pub use probes::{Answer, Paused, ServiceSnapshot, Snapshot};
