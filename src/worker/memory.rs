//! Keeps written down how far back the store's memory of each handler's events reaches, for replays to ask.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{Parts, group_of};
use crate::{
    Service,
    config::Settings,
    erased::ErasedHandler,
    kafka::{KafkaClient, KafkaFault, LogReader},
    ledger::Keeper,
    pipeline::now_ms,
    store::{DedupeStore, Remembered, StoreFault, StoreReport},
};

/// The kind of these notes.
const KIND: &str = "memory";

/// The handlers of one service, and how long each of them is to be remembered.
#[derive(Debug, Clone)]
pub(crate) struct Memory {
    pub(crate) group: String,
    /// By their names.
    pub(crate) handlers: BTreeMap<String, Duration>,
}

impl Memory {
    pub(crate) fn of(service: &Service, settings: &Settings) -> Self {
        let group = group_of(service, &settings.service(service.name()));
        let ttl = |handler: &Arc<dyn ErasedHandler>| {
            settings.handler(service.name(), handler.name()).ttl_over(handler.ttl())
        };
        let handlers = service.table().iter().map(|(_, handler)| (handler.name().to_owned(), ttl(handler)));
        Self { group, handlers: handlers.collect() }
    }

    /// Looks again, and writes down what has changed. A handler without a note is new where its group `is_new`, too;
    /// otherwise the store has forgotten it, and everything else with it.
    pub(super) async fn keep(
        &self,
        store: &dyn DedupeStore,
        report: &StoreReport,
        is_new: bool,
    ) -> Result<(), StoreFault> {
        let notes = store.notes(KIND).await?;
        for (handler, ttl) in &self.handlers {
            let known = notes.get(&self.name(handler)).and_then(|text| serde_json::from_str(text).ok());
            let now = match &known {
                Some(known) => Remembered::seen_again(known, now_ms(), *ttl, report),
                None if is_new => Remembered::from_the_start(*ttl, report),
                None => Remembered::from_now(now_ms(), *ttl, report),
            };
            if known.as_ref() != Some(&now)
                && let Ok(text) = serde_json::to_string(&now)
            {
                store.note(KIND, &self.name(handler), Some(&text)).await?;
            }
        }
        Ok(())
    }

    /// What is younger than this and not known to the store was never finished, by handler, in milliseconds since
    /// 1970. Nothing is certain of a handler without a note, unless its group has never finished anything.
    pub(crate) async fn horizons(
        &self,
        store: &dyn DedupeStore,
        is_new: bool,
    ) -> Result<BTreeMap<String, i64>, StoreFault> {
        let report = store.describe().await?;
        let notes = store.notes(KIND).await?;
        let horizon = |(handler, ttl): (&String, &Duration)| {
            let known: Option<Remembered> =
                notes.get(&self.name(handler)).and_then(|text| serde_json::from_str(text).ok());
            let horizon = match known {
                Some(known) => known.seen_again(now_ms(), *ttl, &report).horizon_ms(now_ms()),
                None if is_new => 0,
                None => i64::MAX,
            };
            (handler.clone(), horizon)
        };
        Ok(self.handlers.iter().map(horizon).collect())
    }

    fn name(&self, handler: &str) -> String {
        format!("{}.{handler}", self.group)
    }
}

/// Before the first record is taken in: whether a group is new can only be told until it commits.
pub(super) async fn begin(
    settings: &Settings,
    services: &[Service],
    parts: &Parts,
) -> Result<(Vec<Memory>, Vec<Keeper>), KafkaFault> {
    let memories: Vec<Memory> = services.iter().map(|service| Memory::of(service, settings)).collect();
    let keepers: Result<Vec<Keeper>, KafkaFault> =
        services.iter().map(|service| Keeper::new(settings, service, &parts.kafka)).collect();
    let keepers = keepers?;
    let written = memories.iter().zip(&keepers).zip(services).map(|((memory, keeper), service)| async move {
        let is_new = is_new(&parts.kafka, &memory.group, &sources(service, settings)).await;
        let is_new =
            is_new.inspect_err(|fault| tracing::debug!(%fault, "whether a group is new")).unwrap_or(false);
        let report = parts.store.describe().await?;
        memory.keep(&*parts.store, &report, is_new).await?;
        keeper.keep(&*parts.store, is_new).await
    });
    for written in futures_util::future::join_all(written).await {
        match written {
            Ok(losses) => {
                losses.iter().for_each(|loss| tracing::error!(loss, "the ledger is not what it was"))
            }
            Err(error) => {
                tracing::warn!(%error, "how far memory reaches back could not be written down yet");
            }
        }
    }
    Ok((memories, keepers))
}

/// The physical names of the topics that a service consumes.
pub(crate) fn sources(service: &Service, settings: &Settings) -> Vec<String> {
    service.table().topics().map(|topic| settings.topics.physical(topic).to_owned()).collect()
}

/// Whether a group has never committed anything on these topics.
pub(crate) async fn is_new(client: &KafkaClient, group: &str, topics: &[String]) -> Result<bool, KafkaFault> {
    let (client, group, topics) = (client.clone(), group.to_owned(), topics.to_vec());
    let asked = tokio::task::spawn_blocking(move || {
        for topic in &topics {
            let reader = LogReader::open(&client, &group, &Arc::from(topic.as_str()))?;
            let partitions = reader.partitions()?.unwrap_or_default();
            if !reader.committed(&partitions)?.is_empty() {
                return Ok(false);
            }
        }
        Ok(true)
    });
    asked
        .await
        .unwrap_or_else(|_| Err(KafkaFault::new(crate::kafka::FaultKind::Other, "the worker is stopping")))
}
