//! What a member of a group looks after between polls: partitions that wait for their start, positions and topics that
//! got lost, and beginnings that the store does not know yet.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{CommitMode, Consumer},
    error::{KafkaResult, RDKafkaErrorCode},
};

use super::{
    assignment::{Beginning, Due, Name, Running, list},
    group::{Group, GroupConsumer, by_topic},
    positions::{Position, Positions},
    queues,
    start::Start,
};

/// How long the look at a topic's id may hold up the loop that polls.
const TOPIC_ANSWERS: Duration = Duration::from_millis(500);

impl Group {
    /// Asks again where the held partitions begin, and lets those begin that can. Answers whether somebody could
    /// not be asked.
    pub(super) fn retry_held(&self, consumer: &GroupConsumer) -> KafkaResult<bool> {
        let held: Vec<Name> = self.assignment().held.keys().cloned().collect();
        let mut unanswered = false;
        for (topic, partitions) in by_topic(&held) {
            for (partition, position) in self.ask_where(consumer, &topic, &partitions) {
                unanswered |= position.is_err();
                // First the place, then the work: what is fetched must never be from elsewhere.
                if let Ok(Position { start: Start::At(offset), .. }) = &position {
                    assign_anew(consumer, &topic, partition, *offset)?;
                    self.look_now.store(true, Relaxed);
                }
                self.begin_or_hold(&mut self.assignment(), (Arc::clone(&topic), partition), position);
            }
        }
        Ok(unanswered)
    }

    /// Some position was not in its log any more, and Kafka's client, which does not say which, fetches nothing
    /// there from then on. Holds the partitions that have lost theirs, and has the others fetched again. An error
    /// means that not all of them could be looked at.
    pub(super) fn look_for_losses(&self, consumer: &GroupConsumer) -> KafkaResult<()> {
        let mut assignment = self.assignment();
        // A partition that is held is committed no more, and what it has settled must not count as lost.
        assignment.commit(consumer, CommitMode::Async)?;
        let running: Vec<(Name, i64)> = assignment
            .running
            .iter()
            .map(|(name, running)| (name.clone(), running.partition.next_offset()))
            .collect();
        for (name, next) in running {
            let (topic, partition) = (&name.0, name.1);
            self.service.status.health.tick();
            if Positions::is_in_log(consumer, topic, partition, next)? {
                assign_anew(consumer, topic, partition, next)?;
                if let Some(running) = assignment.running.get_mut(&name) {
                    running.assigned_anew();
                }
            } else {
                consumer.pause(&list([(&**topic, partition)]))?;
                assignment.end(&name);
                let why = format!("offset {next}, which is next, is not in the log any more");
                self.hold(&mut assignment, name, why);
            }
        }
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
        unknown
            .iter()
            .try_for_each(|name| self.leave(consumer, name, "Kafka does not know its topic any more"))
    }

    /// Holds a partition, and has Kafka's client forget what was handed over for committing: it commits that together
    /// with the offsets of other partitions.
    fn leave(&self, consumer: &GroupConsumer, name: &Name, why: &str) -> KafkaResult<()> {
        let mut assignment = self.assignment();
        let Some(next) = assignment.running.get(name).map(|running| running.partition.next_offset()) else {
            return Ok(());
        };
        assignment.end(name);
        self.hold(&mut assignment, name.clone(), why.to_owned());
        assign_anew(consumer, &name.0, name.1, next)
    }

    /// Kafka's client has given up for good. It says so once, and not always where records come.
    pub(super) fn look_for_the_end(&self, consumer: &GroupConsumer) {
        let status = &self.service.status;
        if status.failure().is_none()
            && let Some((code, reason)) = consumer.client().fatal_error()
        {
            status.fail(match code {
                RDKafkaErrorCode::FencedInstanceId | RDKafkaErrorCode::UnreleasedInstanceId => format!(
                    "another member of the group has the same worker.instance_id; every pod needs its own, as the pods of a StatefulSet have ({code})"
                ),
                _ => format!("Kafka's client has given up: {reason}"),
            });
        }
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
/// refused where Kafka's client has stopped fetching.
fn assign_anew(consumer: &GroupConsumer, topic: &str, partition: i32, offset: i64) -> KafkaResult<()> {
    let name = list([(topic, partition)]);
    let mut place = TopicPartitionList::new();
    place.add_partition_offset(topic, partition, Offset::Offset(offset))?;
    consumer.incremental_unassign(&name)?;
    queues::set_apart(consumer, topic, partition);
    consumer.incremental_assign(&place)?;
    consumer.pause(&name)
}
