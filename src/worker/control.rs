//! A runtime that no handler can starve: renewals and probes live here.

use std::{net::SocketAddr, time::Duration};

use tokio::runtime::{Builder, Handle, Runtime};

use super::Parts;
use crate::telemetry;

/// Nothing here takes long; whatever does is left behind.
const END: Duration = Duration::from_secs(1);

/// One thread with a runtime of its own.
#[derive(Debug)]
pub(crate) struct Control(Option<Runtime>);

impl Control {
    pub(crate) fn start() -> Result<Self, String> {
        let runtime =
            Builder::new_multi_thread().worker_threads(1).thread_name("control").enable_all().build();
        runtime
            .map(|runtime| Self(Some(runtime)))
            .map_err(|error| format!("no runtime for renewals: {error}"))
    }

    pub(crate) fn handle(&self) -> Handle {
        // Only `drop` takes the runtime away.
        self.0.as_ref().map_or_else(Handle::current, |runtime| runtime.handle().clone())
    }

    /// Answers `/metrics` and the probes until the end.
    pub(crate) async fn serve(&self, listen: Option<SocketAddr>, parts: &Parts) -> Result<(), String> {
        let Some(address) = listen else { return Ok(()) };
        let (metrics, health) = (parts.metrics.clone(), parts.health.clone());
        let bound = self.handle().spawn(async move { telemetry::bind(&address.to_string()).await });
        let listener = bound.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        tracing::info!(%address, "probes and metrics");
        self.handle().spawn(async move {
            if let Err(error) = telemetry::serve(listener, metrics, health, std::future::pending()).await {
                tracing::error!(%error, "probes and metrics are not answered any more");
            }
        });
        Ok(())
    }

    /// Ends what runs here, and with it the last users of the services' clients: whoever waits for this may take
    /// their brokers away.
    pub(crate) async fn finish(mut self) {
        if let Some(runtime) = self.0.take() {
            // A runtime must not be waited for where async code runs.
            let ended = tokio::task::spawn_blocking(move || runtime.shutdown_timeout(END));
            drop(ended.await);
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // A runtime must not be dropped where async code runs.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
