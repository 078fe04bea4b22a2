//! Takes the entry of an event out of the ledger, while nobody can run the event.

use std::{sync::Arc, time::Duration};

use crate::{
    config::Settings,
    kafka::{KafkaClient, KafkaFault, LogReader, RecordProducer},
    ledger::taken_away,
    pipeline::Producer,
    store::{Claim, ClaimRequest, DedupeStore, Held, OwnerFactory, Release, StoreFault, StoreKey},
};

/// How long the broker may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long nobody else can run the event: longer than the broker may take.
const LEASE: Duration = Duration::from_secs(30);
/// As if nobody had asked for it.
const AT_ONCE: Duration = Duration::from_millis(1);

/// Takes the entry away. The event is claimed meanwhile: if it took effect again just then, that would be lost from the
/// ledger, too. Where somebody has claimed it already, it is being run as was wanted, and the entry becomes true again.
pub(super) async fn take_away(
    settings: &Settings,
    store: &dyn DedupeStore,
    topic: &str,
    group: &str,
    key: &StoreKey,
) -> Result<(), String> {
    let request = ClaimRequest {
        key: key.clone(),
        owner: OwnerFactory::new().delivery(0, topic, 0, 0),
        lease: LEASE,
        retention: LEASE,
        max_deliveries: u32::MAX,
        fingerprint: None,
        hop: 0,
    };
    let told = |fault: StoreFault| format!("the dedupe store: {fault}");
    let claimed = store.claim(std::slice::from_ref(&request)).await.map_err(told)?;
    let Some(Claim::Won(grant)) = claimed.first() else { return Ok(()) };
    let written = write(settings, topic, group, key).await;
    let held = Held { key: key.clone(), owner: request.owner, token: grant.token, hop: 0 };
    let release = Release {
        held,
        delay: AT_ONCE,
        retention: AT_ONCE,
        attempts: 0,
        first_failure_ms: None,
        in_doubt: false,
    };
    // Otherwise its lease does the same, later.
    drop(store.release(&[release]).await);
    written
}

async fn write(settings: &Settings, topic: &str, group: &str, key: &StoreKey) -> Result<(), String> {
    let kafka = KafkaClient::from_settings(&settings.kafka);
    let (client, group, name) = (kafka.clone(), group.to_owned(), Arc::from(topic));
    let partitions =
        tokio::task::spawn_blocking(move || LogReader::open(&client, &group, &name)?.partitions());
    let partitions = partitions.await.map_err(|error| error.to_string())?;
    let partitions = partitions.map_err(|fault: KafkaFault| fault.to_string())?;
    // Without a topic there is no entry.
    let Some(partitions) = partitions else { return Ok(()) };
    let entries: Vec<_> = partitions.into_iter().map(|partition| taken_away(topic, key, partition)).collect();
    let producer = RecordProducer::new(kafka, PATIENCE).map_err(|fault| fault.to_string())?;
    producer.send(&entries).await.map_err(|error| error.to_string())
}
