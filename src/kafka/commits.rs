//! Commits that answer. The client library drops the broker's answer to an asynchronous commit unless it is given a
//! queue for it, which its Rust interface does not do: without the answer, a commit that failed would look like one
//! that worked.
#![expect(unsafe_code, reason = "the safe interface loses the answer to an asynchronous commit")]

use std::ptr;

use rdkafka::{
    TopicPartitionList,
    bindings::{rd_kafka_commit_queue, rd_kafka_queue_destroy, rd_kafka_queue_get_consumer},
    consumer::{CommitMode, Consumer},
    error::{IsError, KafkaError, RDKafkaErrorCode as Code},
};

use super::group::GroupConsumer;

/// Commits these offsets. The answer comes to `commit_callback`, through the queue
/// that is polled.
pub(super) fn commit(consumer: &GroupConsumer, offsets: &TopicPartitionList) -> Result<(), KafkaError> {
    let client = consumer.client().native_ptr();
    // SAFETY: the client is alive as long as `consumer` is borrowed, and so is the list of offsets, which the library
    // copies before it returns. The queue is ours to give back once, and the library holds it for as long as the
    // answer is under way. Without a callback there is nothing that could outlive its data.
    let answer = unsafe {
        let queue = rd_kafka_queue_get_consumer(client);
        if queue.is_null() {
            return Err(KafkaError::Canceled);
        }
        let answer = rd_kafka_commit_queue(client, offsets.ptr(), queue, None, ptr::null_mut());
        rd_kafka_queue_destroy(queue);
        answer
    };
    if answer.is_error() { Err(KafkaError::ConsumerCommit(answer.into())) } else { Ok(()) }
}

/// Commits these offsets, and waits until the broker has answered.
pub(super) fn commit_and_wait(
    consumer: &GroupConsumer,
    offsets: &TopicPartitionList,
) -> Result<(), KafkaError> {
    Consumer::commit(consumer, offsets, CommitMode::Sync)
}

/// Whether the same commit may go through a little later.
pub(super) fn may_pass(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            Code::RequestTimedOut
                | Code::OperationTimedOut
                | Code::BrokerTransportFailure
                | Code::AllBrokersDown
                | Code::WaitingForCoordinator
                | Code::NotCoordinator
                | Code::CoordinatorNotAvailable
                | Code::CoordinatorLoadInProgress
                | Code::NotEnoughReplicas
                | Code::NotEnoughReplicasAfterAppend
        )
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coordinator_that_moves_is_waited_for_and_a_group_that_went_on_is_not() {
        let may_pass = |code| may_pass(&KafkaError::ConsumerCommit(code));
        assert!(may_pass(Code::NotCoordinator) && may_pass(Code::RequestTimedOut));
        assert!(!may_pass(Code::IllegalGeneration) && !may_pass(Code::UnknownMemberId));
    }
}
