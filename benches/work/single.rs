//! Loops that look at one record after the other.

use futures_util::StreamExt;
use rdkafka::{
    Message,
    consumer::{CommitMode, Consumer, StreamConsumer},
    error::KafkaError,
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

pub(super) fn run(contract: &Contract, kind: Kind) -> Result<Score> {
    tokio::runtime::Runtime::new()?.block_on(consume(contract, kind))
}

async fn consume(contract: &Contract, kind: Kind) -> Result<Score> {
    let redis = match kind {
        Kind::Naive => {
            let client = redis::Client::open(contract.redis_url.as_str())?;
            Some(client.get_multiplexed_async_connection().await?)
        }
        _ => None,
    };
    let job = Job::new(contract);
    let consumer: StreamConsumer = topic::subscribed(&contract.brokers, &contract.group, &contract.topic)?;
    let one = |received: std::result::Result<_, KafkaError>| async {
        let message: BorrowedMessage<'_> = received?;
        process(contract, &job, redis.clone(), &message).await?;
        Result::Ok(message)
    };
    if job.is_instant() {
        for _ in 0..contract.expect {
            consumer.store_offset_from_message(&one(consumer.recv().await).await?)?;
        }
    } else {
        // So many side by side, finished in the order of the log, without regard for keys.
        let mut finished = consumer.stream().map(one).buffered(contract.in_flight);
        for _ in 0..contract.expect {
            let Some(message) = finished.next().await else { break };
            consumer.store_offset_from_message(&message?)?;
        }
    }
    consumer.commit_consumer_state(CommitMode::Sync)?;
    Ok(job.score(kind, VERSION))
}

async fn process(
    contract: &Contract,
    job: &Job,
    redis: Option<MultiplexedConnection>,
    message: &BorrowedMessage<'_>,
) -> Result<()> {
    job.arrived();
    let order: Order = serde_json::from_slice(message.payload().unwrap_or_default())?;
    if let Some(mut redis) = redis {
        let mut mark = redis::cmd("SET");
        mark.arg(contract.redis_key(&order.id)).arg(1).arg("NX").arg("EX").arg(DAY);
        let marked: Option<String> = mark.query_async(&mut redis).await?;
        if marked.is_none() {
            job.duplicates(1);
            return Ok(());
        }
    }
    job.handle(&order).await;
    Ok(())
}
