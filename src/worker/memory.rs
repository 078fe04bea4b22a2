//! Keeps written down how far back the store's memory of each handler's events reaches, for replays to ask.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{Parts, group_of, past::Past};
use crate::{
    Service,
    config::Settings,
    erased::ErasedHandler,
    kafka::{KafkaClient, KafkaFault},
    ledger::{KeepError, Keeper},
    pipeline::now_ms,
    store::{DedupeStore, Reached, Remembered, StoreFault, StoreReport},
};

/// The kind of these notes.
const KIND: &str = "memory";

/// The handlers of one service, and how long each of them is to be remembered.
#[derive(Debug, Clone)]
pub(crate) struct Memory {
    pub(crate) group: String,
    /// By their names.
    pub(crate) handlers: BTreeMap<String, Duration>,
    /// The name of a run over everything, which is remembered apart.
    pub(crate) epoch: Option<String>,
}

impl Memory {
    pub(crate) fn of(service: &Service, settings: &Settings) -> Self {
        let group = group_of(service, &settings.service(service.name()));
        let ttl = |handler: &Arc<dyn ErasedHandler>| {
            settings.handler(service.name(), handler.name()).ttl_over(handler.ttl())
        };
        let handlers = service.table().iter().map(|(_, handler)| (handler.name().to_owned(), ttl(handler)));
        Self { group, handlers: handlers.collect(), epoch: None }
    }

    /// Looks again, and writes down what has changed. A handler without a note is new where its group `is_new`, too;
    /// otherwise the store has forgotten it, and everything else with it.
    pub(crate) async fn keep(
        &self,
        store: &dyn DedupeStore,
        report: &StoreReport,
        is_new: bool,
    ) -> Result<(), StoreFault> {
        let notes = store.notes(KIND).await?;
        for (handler, ttl) in &self.handlers {
            let known = notes.get(&self.name(handler)).and_then(|text| serde_json::from_str(text).ok());
            let now = match &known {
                Some(known) => Remembered::seen_again(known, now_of(report), *ttl, report),
                None => self.unnoted(*ttl, report, is_new),
            };
            if known.as_ref() != Some(&now)
                && let Ok(text) = serde_json::to_string(&now)
            {
                store.note(KIND, &self.name(handler), Some(&text)).await?;
            }
        }
        Ok(())
    }

    /// What the store remembers of each handler. Nothing is certain of one without a note, unless its group `is_new`.
    pub(crate) async fn reach(&self, store: &dyn DedupeStore, is_new: bool) -> Result<Reached, StoreFault> {
        let report = store.describe().await?;
        let now = now_of(&report);
        let notes = store.notes(KIND).await?;
        let reach = |(handler, ttl): (&String, &Duration)| {
            let known: Option<Remembered> =
                notes.get(&self.name(handler)).and_then(|text| serde_json::from_str(text).ok());
            let known = known.map(|known| known.seen_again(now, *ttl, &report));
            (handler.clone(), known.or_else(|| is_new.then(|| self.unnoted(*ttl, &report, true))))
        };
        Ok(Reached { handlers: self.handlers.iter().map(reach).collect(), ahead_ms: now - now_ms() })
    }

    /// Whether something is written down of one of its handlers.
    pub(super) async fn is_noted(&self, store: &dyn DedupeStore) -> Result<bool, StoreFault> {
        let notes = store.notes(KIND).await?;
        Ok(self.handlers.keys().any(|handler| notes.contains_key(&self.name(handler))))
    }

    fn unnoted(&self, ttl: Duration, report: &StoreReport, is_new: bool) -> Remembered {
        let begin = if is_new { Remembered::from_the_start } else { Remembered::from_now };
        let begun = begin(now_of(report), ttl, report);
        if self.epoch.is_some() { begun.of_epoch() } else { begun }
    }

    fn name(&self, handler: &str) -> String {
        let epoch = self.epoch.as_ref().map(|epoch| format!("@{epoch}")).unwrap_or_default();
        format!("{}.{handler}{epoch}", self.group)
    }
}

/// The present of a store, by whose clock its memory runs out.
fn now_of(report: &StoreReport) -> i64 {
    report.now_ms.unwrap_or_else(now_ms)
}

/// A memory that is kept from now on.
#[derive(Debug, Clone)]
pub(crate) struct Begun {
    pub(crate) memory: Memory,
    /// Nothing of this has ever been finished.
    pub(crate) is_new: bool,
}

/// Before the first record is taken in: whether a group is new can only be told until it commits.
pub(super) async fn begin_all(
    settings: &Settings,
    services: &[Service],
    parts: &Parts,
) -> Result<(Vec<Memory>, Vec<Keeper>), KafkaFault> {
    let memories: Vec<Memory> = services.iter().map(|service| Memory::of(service, settings)).collect();
    let keepers: Result<Vec<Keeper>, KafkaFault> =
        services.iter().map(|service| Keeper::new(settings, service, &parts.kafka)).collect();
    let keepers = keepers?;
    let written = memories.iter().zip(&keepers).zip(services).map(|((memory, keeper), service)| async move {
        let is_new = past(service, settings, &parts.kafka).is_new(memory, &*parts.store).await;
        let is_new =
            is_new.inspect_err(|fault| tracing::debug!(%fault, "whether a group is new")).unwrap_or(false);
        begin(&[Begun { memory: memory.clone(), is_new }], keeper, &*parts.store).await
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

/// Writes down all accounts of one service, the first of which is that of its group; what was lost of the ledger, if
/// anything. The ledger's comes first, for whoever finds another knows that something has begun.
pub(crate) async fn begin(
    begun: &[Begun],
    keeper: &Keeper,
    store: &dyn DedupeStore,
) -> Result<Vec<String>, KeepError> {
    let kept = keeper.keep(store, begun.first().is_some_and(|begun| begun.is_new)).await;
    let report = store.describe().await?;
    for Begun { memory, is_new } in begun {
        memory.keep(store, &report, *is_new).await?;
    }
    kept
}

/// Who knows whether the group of a service is new.
pub(crate) fn past(service: &Service, settings: &Settings, client: &KafkaClient) -> Past {
    let topics = sources(service, settings);
    Past { kafka: client.clone(), topics, audit: settings.topics.audit.clone() }
}

/// The physical names of the topics that a service consumes.
fn sources(service: &Service, settings: &Settings) -> Vec<String> {
    service.table().topics().map(|topic| settings.topics.physical(topic).to_owned()).collect()
}
