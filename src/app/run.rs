//! `run`: services on Kafka and Redis, until they are told to stop.

use std::{process::ExitCode, sync::Arc};

use tokio::runtime::Handle;

use super::{CUT_OFF, FINE, INTERRUPTED, failed, inspect::inspect, refuse, signals::Signals};
use crate::{
    Service,
    check::{self, Finding, State},
    config::Settings,
    kafka::KafkaClient,
    redis::RedisStore,
    store::{DedupeStore, StoreFault},
    telemetry::{Health, Metrics},
    worker::{Parts, Stopped, Worker},
};

/// The store of the configuration. It connects with its first call.
pub(super) fn connect(settings: &Settings) -> Result<Arc<dyn DedupeStore>, StoreFault> {
    Ok(Arc::new(RedisStore::open(&settings.redis, &settings.dedupe.prefix)?))
}

/// Logs what was found. With a problem a worker would lose or double events, or could not work at all.
fn may_begin(findings: &[Finding]) -> bool {
    for Finding { subject, state, found, advice } in findings {
        let advice = advice.as_deref().unwrap_or_default();
        match state {
            State::Fine => tracing::debug!(subject, found, "checked"),
            State::Warning => tracing::warn!(subject, found, advice, "checked"),
            State::Problem => eprintln!("{subject}: {found}; {advice}"),
        }
    }
    !check::failed(findings)
}

pub(super) async fn run(settings: &Settings, services: &[Service], handlers: &Handle) -> ExitCode {
    let mut signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => return failed(format!("signals cannot be received: {error}")),
    };
    let store = match connect(settings) {
        Ok(store) => store,
        Err(fault) => return refuse(fault),
    };
    let kafka = KafkaClient::from_settings(&settings.kafka);
    let findings = inspect(settings, services, &kafka, &*store, settings.topics.create).await;
    if !may_begin(&findings) {
        return failed("not started; `check` shows everything that was looked at");
    }
    let parts = Parts { kafka, store, metrics: Metrics::new(), health: Health::default() };
    let worker = match Worker::start(settings, services, &parts, handlers).await {
        Ok(worker) => worker,
        Err(reason) => return failed(reason),
    };
    tokio::select! {
        signal = signals.next() => tracing::info!(signal, "draining"),
        reason = worker.failed() => tracing::error!(%reason, "stopping"),
    }
    tokio::select! {
        stopped = worker.finish() => match stopped {
            Stopped::Drained => ExitCode::from(FINE),
            Stopped::CutOff => {
                tracing::warn!("the drain deadline cut something off; its claims stand until their leases end");
                ExitCode::from(CUT_OFF)
            }
            Stopped::Failed(reason) => failed(reason),
        },
        signal = signals.next() => {
            tracing::warn!(signal, "stopped without draining");
            ExitCode::from(INTERRUPTED)
        }
    }
}
