//! What a member of a group looks after between polls: partitions that wait for their start, positions and topics that
//! got lost, and beginnings that the store does not know yet.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{CommitMode, Consumer},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code},
};

use super::{
    KafkaFault,
    assignment::{Beginning, Due, Name, Running, is_loss, list},
    group::{Group, GroupConsumer, by_topic},
    positions::{KAFKA_ANSWERS, Position},
    queues,
    start::Start,
};
use crate::telemetry::metrics::Component;

/// How long the look at a topic's id may hold up the loop that polls.
const TOPIC_ANSWERS: Duration = Duration::from_millis(500);

/// What became of the log under a partition that was to be fetched from `next`.
#[derive(Debug, PartialEq, Eq)]
struct Loss {
    /// From this offset on the log has, or will have, other records under numbers that the group has had.
    from: Option<i64>,
    why: String,
}

impl Loss {
    fn of(next: i64, (low, high): (i64, i64)) -> Self {
        let gone = format!("offset {next}, which is next, is not in the log any more");
        if next < low {
            return Self { from: None, why: gone };
        }
        if next > high {
            return Self { from: Some(high), why: gone };
        }
        // Kafka's client found it gone, and by now the log has grown past it again: nobody tells from where on.
        let why = format!(
            "offset {next}, which is next, was not in the log a moment ago: it had lost its end, and goes on with other records"
        );
        Self { from: Some(low), why }
    }
}

impl Group {
    /// Asks again where the held partitions begin, and lets those begin that can. Answers whether somebody could
    /// not be asked.
    pub(super) fn retry_held(&self, consumer: &GroupConsumer) -> KafkaResult<bool> {
        let held: Vec<Name> = self.assignment().held.keys().cloned().collect();
        let mut unanswered = false;
        for (topic, partitions) in by_topic(&held) {
            for (partition, position) in self.ask_where(consumer, &topic, &partitions) {
                unanswered |= position.is_err();
                let name = (Arc::clone(&topic), partition);
                // Asking takes its time, and what is not ours any more begins nowhere.
                self.serve(consumer);
                if consumer.assignment_lost() || !self.assignment().held.contains_key(&name) {
                    continue;
                }
                // First the place, then the work: what is fetched must never be from elsewhere.
                if let Ok(Position { start: Start::At(offset), .. }) = &position {
                    assign_anew(consumer, &topic, partition, *offset)?;
                    self.look_now.store(true, Relaxed);
                }
                self.begin_or_hold(&mut self.assignment(), name, position);
            }
        }
        Ok(unanswered)
    }

    /// Positions that were not in their logs any more: Kafka's client fetches nothing there from then on. Holds those
    /// partitions, each as it was lost, and leaves for the next time which log could not be looked at.
    pub(super) fn look_for_losses(&self, consumer: &GroupConsumer) -> KafkaResult<()> {
        let suspects = self.assignment().suspects();
        if suspects.is_empty() {
            return Ok(());
        }
        // A partition that is held is committed no more, and what it has settled must not count as lost.
        self.assignment().commit(consumer, CommitMode::Async)?;
        let mut patience = KAFKA_ANSWERS;
        let mut all = Ok(());
        for (name, next) in suspects {
            let (topic, partition) = (&name.0, name.1);
            self.service.status.health.tick();
            match consumer.fetch_watermarks(topic, partition, patience) {
                Ok(log) => self.lose(consumer, name, Loss::of(next, log))?,
                Err(error) => {
                    patience = TOPIC_ANSWERS;
                    all = Err(error);
                }
            }
        }
        all
    }

    fn lose(&self, consumer: &GroupConsumer, name: Name, loss: Loss) -> KafkaResult<()> {
        if let Some(from) = loss.from
            && let Err(why) = self.positions.lost(&name.0, name.1, from)
        {
            tracing::warn!(topic = %name.0, partition = name.1, %why, "kept in mind");
        }
        consumer.pause(&list([(&*name.0, name.1)]))?;
        let mut assignment = self.assignment();
        assignment.end(&name);
        self.hold(&mut assignment, name, loss.why);
        Ok(())
    }

    /// Whether the topics are still those that their partitions began in. What Kafka's client reads under the name of
    /// another topic begins somewhere in its middle.
    pub(super) fn look_at_topics(&self, consumer: &GroupConsumer) {
        let running: Vec<(Name, Option<String>)> = {
            let assignment = self.assignment();
            let began_in = |(name, running): (&Name, &Running)| (name.clone(), running.topic_id.clone());
            assignment.running.iter().map(began_in).collect()
        };
        let names: Vec<Name> = running.iter().map(|(name, _)| name.clone()).collect();
        for topic in by_topic(&names).into_keys() {
            let Some(now) = self.positions.topic_id(consumer, &topic, TOPIC_ANSWERS) else { continue };
            let others = running.iter().filter(|((name, _), began_in)| {
                *name == topic && began_in.as_ref().is_some_and(|began_in| *began_in != now)
            });
            for (name, _) in others {
                let why = "the topic was deleted and created again";
                if let Err(error) = self.leave(consumer, name, why) {
                    tracing::warn!(%topic, %error, "not paused");
                }
            }
        }
    }

    /// Kafka did not know these topics when they were committed. What is committed from now on might be committed into
    /// another topic of the same name: each partition waits until its topic is there, and then begins as after a restart.
    pub(super) fn leave_unknown_topics(&self, consumer: &GroupConsumer) -> KafkaResult<()> {
        let unknown = std::mem::take(&mut self.assignment().unknown);
        let names: Vec<Name> = unknown.into_iter().collect();
        // The answer to a commit names all that were committed together with it.
        let still: BTreeMap<Arc<str>, String> = by_topic(&names)
            .into_keys()
            .filter_map(|topic| {
                let id = self.positions.topic_id(consumer, &topic, TOPIC_ANSWERS)?;
                Some((topic, id))
            })
            .collect();
        let is_there = |name: &Name| {
            let assignment = self.assignment();
            let began_in = assignment.running.get(name).and_then(|running| running.topic_id.as_ref());
            began_in.is_some() && began_in == still.get(&name.0)
        };
        let gone: Vec<Name> = names.into_iter().filter(|name| !is_there(name)).collect();
        gone.iter().try_for_each(|name| self.leave(consumer, name, "Kafka does not know its topic any more"))
    }

    /// Holds a partition, and has Kafka's client forget what was handed over for committing: it commits that together
    /// with the offsets of other partitions.
    fn leave(&self, consumer: &GroupConsumer, name: &Name, why: &str) -> KafkaResult<()> {
        self.serve(consumer);
        if consumer.assignment_lost() {
            return Ok(());
        }
        let mut assignment = self.assignment();
        let Some(partition) = assignment.running.get(name).map(|running| Arc::clone(&running.partition))
        else {
            return Ok(());
        };
        assignment.end(name);
        self.hold(&mut assignment, name.clone(), why.to_owned());
        assign_anew(consumer, &name.0, name.1, partition.next_offset())
    }

    /// Kafka's client has given up for good. It says so once, and not always where records come.
    pub(super) fn look_for_the_end(&self, consumer: &GroupConsumer) {
        let status = &self.service.status;
        if status.failure().is_none()
            && let Some((code, reason)) = consumer.client().fatal_error()
        {
            status.fail(match code {
                Code::FencedInstanceId | Code::UnreleasedInstanceId => format!(
                    "another member of the group has the same worker.instance_id; every pod needs its own, as the pods of a StatefulSet have ({code})"
                ),
                _ => format!("Kafka's client has given up: {reason}"),
            });
        }
    }

    /// Serves what is not a record: assignments, answers to commits, errors.
    pub(super) fn serve(&self, consumer: &GroupConsumer) {
        while let Some(polled) = consumer.poll(Duration::ZERO) {
            match polled {
                Ok(message) => {
                    let (topic, partition) = (message.topic(), message.partition());
                    // It may have been overtaken by others, and would be committed past.
                    let why = format!("a record of {topic}/{partition} came by a queue that is not its own");
                    self.service.status.fail(why);
                }
                Err(error) => self.note(self.polled(consumer, error)),
            }
        }
    }

    pub(super) fn note(&self, outcome: KafkaResult<()>) {
        let Err(error) = outcome else { return };
        let is_of_the_group = error.rdkafka_error_code() == Some(Code::GroupAuthorizationFailed);
        let fault = KafkaFault::from(error);
        self.warn(if is_of_the_group {
            fault.wanting("Read", format!("group {}", self.service.group()))
        } else {
            fault
        });
    }

    /// The same of what has come, or has not, from a topic.
    pub(super) fn note_from(&self, topic: &str, outcome: KafkaResult<()>) {
        if let Err(error) = outcome {
            self.warn(KafkaFault::from(error).wanting("Read", format!("topic {topic}")));
        }
    }

    fn warn(&self, error: KafkaFault) {
        self.service.status.metrics.fault(Component::Kafka);
        tracing::warn!(%error, "Kafka");
    }

    /// Takes an error that has come in the place of a record.
    pub(super) fn polled(&self, consumer: &GroupConsumer, error: KafkaError) -> KafkaResult<()> {
        if is_loss(&error) {
            self.look_now.store(true, Relaxed);
            return Ok(());
        }
        if matches!(error, KafkaError::MessageConsumptionFatal(_)) {
            self.look_for_the_end(consumer);
            return Ok(());
        }
        Err(error)
    }

    /// Tells the store what is new: first how many partitions a topic has, then, when Kafka has them, the beginnings
    /// themselves. What a person had decided is done with then.
    pub(super) fn remember_beginnings(&self) {
        if self.service.status.store_is_down() {
            return;
        }
        let due = self.assignment().due();
        for (name, due) in due {
            if let Err(why) = self.remember(&name, &due) {
                tracing::debug!(topic = %name.0, partition = name.1, %why, "not remembered yet");
                return;
            }
            if let Some(running) = self.assignment().running.get_mut(&name) {
                running.beginning = due.beginning.told();
            }
        }
    }

    fn remember(&self, (topic, partition): &Name, due: &Due) -> Result<(), String> {
        if due.beginning == Beginning::Unannounced {
            return self.positions.anchor(topic, due.topic_partitions, &[]);
        }
        self.positions.anchor(topic, due.topic_partitions, &[(*partition, due.watermark)])?;
        self.positions.begun(topic, *partition, due.topic_id.as_deref())
    }
}

/// Has a partition that is assigned already fetched from another offset, paused. Seeking would not do: it is
/// refused where Kafka's client has stopped fetching. To be called right after [`Group::serve`] only: whatever is
/// assigned while a rebalance waits to be served counts as the answer to it.
fn assign_anew(consumer: &GroupConsumer, topic: &str, partition: i32, offset: i64) -> KafkaResult<()> {
    let name = list([(topic, partition)]);
    let mut place = TopicPartitionList::new();
    place.add_partition_offset(topic, partition, Offset::Offset(offset))?;
    consumer.incremental_unassign(&name)?;
    queues::set_apart(consumer, topic, partition);
    consumer.incremental_assign(&place)?;
    consumer.pause(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_deleted_is_told_from_an_end_that_was_cut_off() {
        assert_eq!(Loss::of(10, (11, 50)).from, None, "deleted by its age");
        assert_eq!(Loss::of(99, (5, 60)).from, Some(60));
        let grown = Loss::of(99, (5, 200));
        assert_eq!(grown.from, Some(5));
        assert!(grown.why.contains("had lost its end"), "{}", grown.why);
    }
}
