//! Loops that ask Redis about many records in one round trip.

use std::{collections::HashMap, time::Duration};

use futures_util::{StreamExt, stream};
use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer},
    message::BorrowedMessage,
};
use redis::aio::MultiplexedConnection;

use super::{
    Kind,
    job::{DAY, Job, Order, VERSION},
};
use crate::{
    Result,
    contract::{Contract, Score},
    topic,
};

/// Records in one round trip.
const BATCH: usize = 500;
/// How long an unfinished claim lasts, in milliseconds.
const LEASE_MS: u64 = 60_000;

pub(super) fn run(contract: &Contract, kind: Kind) -> Result<Score> {
    let runtime = tokio::runtime::Runtime::new()?;
    let client = redis::Client::open(contract.redis_url.as_str())?;
    let mut redis = runtime.block_on(client.get_multiplexed_async_connection())?;
    let job = Job::new(contract);
    let consumer: BaseConsumer = topic::subscribed(&contract.brokers, &contract.group, &contract.topic)?;
    while job.done() < contract.expect {
        let batch = poll(&consumer)?;
        if batch.is_empty() {
            continue;
        }
        job.arrived();
        runtime.block_on(process(contract, kind, &job, &mut redis, &batch))?;
        consumer.store_offsets(&behind(&batch)?)?;
    }
    consumer.commit_consumer_state(CommitMode::Sync)?;
    Ok(job.score(kind, VERSION))
}

/// What is there, or the first that comes.
fn poll(consumer: &BaseConsumer) -> Result<Vec<BorrowedMessage<'_>>> {
    let mut batch = Vec::with_capacity(BATCH);
    let mut patience = Duration::from_millis(100);
    while batch.len() < BATCH
        && let Some(message) = consumer.poll(patience)
    {
        batch.push(message?);
        patience = Duration::ZERO;
    }
    Ok(batch)
}

async fn process(
    contract: &Contract,
    kind: Kind,
    job: &Job,
    redis: &mut MultiplexedConnection,
    batch: &[BorrowedMessage<'_>],
) -> Result<()> {
    let (mut orders, mut claims) = (Vec::with_capacity(batch.len()), redis::pipe());
    for message in batch {
        let order: Order = serde_json::from_slice(message.payload().unwrap_or_default())?;
        let key = contract.redis_key(&order.id);
        let claim = claims.cmd("SET").arg(&key).arg("claim").arg("NX");
        match kind {
            Kind::TwoPhase => claim.arg("PX").arg(LEASE_MS),
            _ => claim.arg("EX").arg(DAY),
        };
        orders.push((key, order));
    }
    let claimed: Vec<Option<String>> = claims.query_async(redis).await?;
    let (won, lost): (Vec<_>, Vec<_>) =
        orders.into_iter().zip(claimed).partition(|(_, claimed)| claimed.is_some());
    job.duplicates(lost.len() as u64);
    stream::iter(&won).for_each_concurrent(contract.in_flight, |((_, order), _)| job.handle(order)).await;
    if kind == Kind::TwoPhase && !won.is_empty() {
        let mut completions = redis::pipe();
        for ((key, _), _) in &won {
            completions.cmd("SET").arg(key).arg("done").arg("EX").arg(DAY).ignore();
        }
        let () = completions.query_async(redis).await?;
    }
    Ok(())
}

/// The offsets behind the last record of each partition.
fn behind(batch: &[BorrowedMessage<'_>]) -> Result<TopicPartitionList> {
    let last: HashMap<_, _> =
        batch.iter().map(|message| ((message.topic(), message.partition()), message.offset() + 1)).collect();
    let mut offsets = TopicPartitionList::new();
    for ((topic, partition), offset) in last {
        offsets.add_partition_offset(topic, partition, Offset::Offset(offset))?;
    }
    Ok(offsets)
}
