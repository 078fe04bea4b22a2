
mod health;
mod http;
pub mod metrics;
mod probes;

pub use health::{Health, ServiceHealth};
pub use http::{BindError, bind, serve};
pub use metrics::{HandlerMetrics, Metrics, PartitionMetrics, ServiceMetrics};
pub use probes::{Answer, Paused, ServiceSnapshot, Snapshot};
