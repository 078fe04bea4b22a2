//! Keeps written down since when a ledger is complete, for replays to ask.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::{
    Look, Since,
    reader::{describe_loss, look},
    topic,
};
use crate::{
    Service,
    config::Settings,
    kafka::{FaultKind, KafkaClient, KafkaFault, LogReader},
    pipeline::{Status, now_ms},
    store::{DedupeStore, StoreFault},
    telemetry::metrics::Component,
    worker::group_of,
};

/// The kind of these notes.
const KIND: &str = "ledger";
/// Between two looks: shorter than what is told a moment too late.
const LOOK_AGAIN: Duration = Duration::from_secs(15);

/// What one service knows of its ledger.
#[derive(Debug)]
pub(crate) struct Keeper {
    group: String,
    handlers: Vec<String>,
    /// `None` where the service keeps none.
    ledger: Option<Place>,
    /// What was written down last: a store that comes back empty is told again.
    last: Mutex<BTreeMap<String, Since>>,
}

#[derive(Debug)]
struct Place {
    topic: Arc<str>,
    reader: Arc<LogReader>,
}

/// How the ledger stands for one handler.
#[derive(Debug)]
pub(crate) struct Report {
    /// With its group.
    pub(crate) handler: String,
    pub(crate) since: Option<Since>,
    /// A sentence.
    pub(crate) loss: Option<String>,
}

/// Why nothing could be written down.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KeepError {
    #[error("Kafka: {0}")]
    Kafka(#[from] KafkaFault),
    #[error("the dedupe store: {0}")]
    Store(#[from] StoreFault),
}

impl Keeper {
    /// # Errors
    /// A configuration that Kafka's client refuses.
    pub(crate) fn new(
        settings: &Settings,
        service: &Service,
        client: &KafkaClient,
    ) -> Result<Self, KafkaFault> {
        let own = settings.service(service.name());
        let group = group_of(service, &own);
        let open = || {
            let topic: Arc<str> = topic(&own.dedupe.prefix, &group).into();
            let reader = Arc::new(LogReader::open(client, &group, &topic)?);
            Ok::<_, KafkaFault>(Place { topic, reader })
        };
        let ledger = own.ledger.enabled.then(open).transpose()?;
        let handlers = service.table().iter().map(|(_, handler)| handler.name().to_owned()).collect();
        Ok(Self { group, handlers, ledger, last: Mutex::default() })
    }

    /// Looks at the topic, and writes down what has changed; what was lost of it, if anything, a sentence each.
    ///
    /// A handler without a note begins now, and from the start where its group `is_new`, for then it has never
    /// finished anything.
    ///
    /// # Errors
    /// Kafka or the store cannot be asked; what was written down before stands.
    pub(crate) async fn keep(&self, store: &dyn DedupeStore, is_new: bool) -> Result<Vec<String>, KeepError> {
        let mut notes = self.noted(store).await?;
        let mut losses = Vec::new();
        let now = now_ms();
        match &self.ledger {
            None => {
                // Whoever keeps the ledger beside us, or did so before us, has to know of the gap.
                for (handler, since) in &mut notes {
                    *since = since.interrupted(now);
                    self.write(store, handler, since).await?;
                }
            }
            Some(Place { topic, reader }) => {
                // Before the topic is made, and after it was deleted, nothing can be settled.
                let Some(look) = looked(reader).await? else { return Ok(losses) };
                for handler in &self.handlers {
                    let known = join(notes.get(handler), self.last(handler));
                    let (since, lost) = match &known {
                        Some(known) => known.seen_again(now, &look),
                        None => (Since::new(if is_new { 0 } else { now }, &look), None),
                    };
                    losses.extend(lost.map(|lost| describe_loss(topic, handler, lost)));
                    if notes.get(handler) != Some(&since) {
                        self.write(store, handler, &since).await?;
                    }
                    self.remember(handler, since);
                }
            }
        }
        Ok(losses)
    }

    /// What is written down, by handler.
    pub(crate) async fn noted(&self, store: &dyn DedupeStore) -> Result<BTreeMap<String, Since>, StoreFault> {
        let notes = store.notes(KIND).await?;
        let note = |handler: &String| {
            let text = notes.get(&self.name(handler))?;
            Some((handler.clone(), serde_json::from_str(text).ok()?))
        };
        Ok(self.handlers.iter().filter_map(note).collect())
    }

    /// Since when each handler's entries are all there, if that has begun, and what was lost of them since it was
    /// written down. Nothing without a ledger, or without its topic.
    ///
    /// # Errors
    /// Kafka or the store cannot be asked.
    pub(crate) async fn report(&self, store: &dyn DedupeStore) -> Result<Vec<Report>, KeepError> {
        let Some(Place { topic, reader }) = &self.ledger else { return Ok(Vec::new()) };
        let Some(look) = looked(reader).await? else { return Ok(Vec::new()) };
        let notes = self.noted(store).await?;
        let report = |handler: &String| {
            let seen = notes.get(handler).map(|since| since.seen_again(now_ms(), &look));
            let (since, lost) = seen.unzip();
            let loss = lost.flatten().map(|lost| describe_loss(topic, handler, lost));
            Report { handler: format!("{}.{handler}", self.group), since, loss }
        };
        Ok(self.handlers.iter().map(report).collect())
    }

    async fn write(&self, store: &dyn DedupeStore, handler: &str, since: &Since) -> Result<(), StoreFault> {
        let text = serde_json::to_string(since).map_err(|error| StoreFault::refused(error.to_string()))?;
        store.note(KIND, &self.name(handler), Some(&text)).await
    }

    fn name(&self, handler: &str) -> String {
        format!("{}.{handler}", self.group)
    }

    fn last(&self, handler: &str) -> Option<Since> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).get(handler).cloned()
    }

    fn remember(&self, handler: &str, since: Since) {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).insert(handler.to_owned(), since);
    }
}

/// Two accounts of one thing.
fn join(noted: Option<&Since>, last: Option<Since>) -> Option<Since> {
    match (noted, last) {
        (Some(noted), Some(last)) => Some(noted.and(&last)),
        (noted, last) => noted.cloned().or(last),
    }
}

async fn looked(reader: &Arc<LogReader>) -> Result<Option<Look>, KafkaFault> {
    let reader = Arc::clone(reader);
    let looked = tokio::task::spawn_blocking(move || look(&reader)).await;
    looked.unwrap_or_else(|_| Err(KafkaFault::new(FaultKind::Other, "the worker is stopping")))
}

/// Looks for ever, and says what was lost.
pub(crate) async fn watch(store: Arc<dyn DedupeStore>, keepers: Vec<(Keeper, Arc<Status>)>) {
    let mut turns = tokio::time::interval(LOOK_AGAIN);
    loop {
        turns.tick().await;
        for (keeper, status) in &keepers {
            match keeper.keep(&*store, false).await {
                Ok(losses) => losses.iter().for_each(|loss| {
                    tracing::error!(loss, "the ledger is not what it was");
                    status.metrics.fault(Component::Ledger);
                }),
                Err(error) => {
                    tracing::debug!(%error, "since when the ledger is complete is not written down")
                }
            }
        }
    }
}
