//! A runtime that no handler can starve: renewals and probes live here.

use tokio::runtime::{Builder, Handle, Runtime};

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

    pub(crate) fn finish(self) {
        drop(self);
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
