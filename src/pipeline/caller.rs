//! Calls of the store, with the time they take.

use std::{future::Future, sync::Arc};

use tokio::time::Instant;

use super::status::Status;
use crate::{store::DedupeStore, telemetry::metrics::DedupeOperation};

/// Calls the store and takes the time.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) store: Arc<dyn DedupeStore>,
    pub(super) status: Arc<Status>,
}

impl Caller {
    pub(super) async fn timed<T, F: Future<Output = T>>(
        self,
        operation: DedupeOperation,
        call: impl FnOnce(Arc<dyn DedupeStore>) -> F,
    ) -> T {
        let began = Instant::now();
        let answer = call(self.store).await;
        self.status.metrics.dedupe_call(operation, began.elapsed());
        answer
    }
}
