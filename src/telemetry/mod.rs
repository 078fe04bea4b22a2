
pub mod metrics;

pub use metrics::{HandlerMetrics, Metrics, PartitionMetrics, ServiceMetrics};
