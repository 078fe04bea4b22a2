//! `run`: services on Kafka and Redis, until they are told to stop.

use std::{process::ExitCode, sync::Arc};

use super::{CUT_OFF, FINE, INTERRUPTED, failed, signals::Signals};
use crate::{
    Service,
    config::Settings,
    kafka::KafkaClient,
    redis::RedisStore,
    telemetry::{Health, Metrics},
    worker::{Parts, Stopped, Worker},
};

pub(super) async fn run(settings: &Settings, services: &[Service]) -> ExitCode {
    let mut signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => return failed(format!("signals cannot be received: {error}")),
    };
    let store = match RedisStore::connect(settings.redis.url.reveal(), settings.redis.response_timeout) {
        Ok(store) => Arc::new(store.with_prefix(&settings.dedupe.prefix)),
        Err(fault) => return failed(fault),
    };
    let kafka = KafkaClient::from_settings(&settings.kafka);
    let parts = Parts { kafka, store, metrics: Metrics::new(), health: Health::default() };
    let worker = match Worker::start(settings, services, &parts).await {
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
