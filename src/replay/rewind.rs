//! Moves the committed offsets of a live group back, so that it meets everything from there on once more.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use serde::Serialize;

use super::{
    Bound, Mode, Order, ReplayError, Survey,
    plan::TopicPlan,
    replayer::{Replayer, blocking},
};
use crate::{
    kafka::{KafkaFault, LogReader},
    worker::memory::Memory,
};

/// Offsets that are to go back, and what the group would meet then.
#[derive(Debug)]
pub(crate) struct Rewind {
    pub(crate) group: String,
    pub(crate) moves: Vec<Move>,
    pub(crate) survey: Survey,
    pub(crate) warnings: Vec<String>,
    /// Until then the store knows all that has ended of it: what the group meets later runs again. None where nothing has.
    pub(crate) remembered_until: Option<Timestamp>,
}

impl Rewind {
    /// Why the group had better not go back, if it is `within` this time that it will be through.
    pub(crate) fn refused(&self, within: Duration) -> Option<String> {
        let (left, until) = (self.survey.remembered?, self.remembered_until?);
        let left = Duration::from_secs(left.as_secs());
        (left <= within).then(|| {
            format!(
                "Nothing was moved: some of these events are remembered for {} more, until {until:.0}, and what the group meets after that runs again. --within DURATION, if it will be through sooner; --allow-unknown moves all the same.",
                humantime::format_duration(left)
            )
        })
    }
}

/// One offset that is to go back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Move {
    /// Physical name.
    pub(crate) topic: String,
    pub(crate) partition: i32,
    /// The committed offset.
    pub(crate) from: i64,
    /// The one to go on from.
    pub(crate) to: i64,
}

impl Replayer<'_> {
    /// What would move, and what would become of the events that the group would meet. Nothing is written. Offsets go
    /// back only: going forward would leave events out.
    pub(crate) async fn look_back(
        &self,
        topics: Vec<String>,
        partitions: std::collections::BTreeSet<i32>,
        to: Bound,
    ) -> Result<Rewind, ReplayError> {
        let range = |from| Order {
            service: self.service.name().to_owned(),
            topics: topics.clone(),
            partitions: partitions.clone(),
            from,
            to: Bound::Offset(i64::MAX),
            mode: Mode::Verify,
            rate: None,
            max: None,
            allow_unknown: false,
            in_order: false,
        };
        let mut plan = self.plan(&range(to)).await?;
        let moves = plan.topics.iter_mut().flat_map(moves_of).collect();
        let warnings = std::mem::take(&mut plan.warnings);
        let scene = self.scene(None, Default::default()).await?;
        // Every record from there on is met, whatever its time.
        let (all, asked, cancel) = (range(Bound::Offset(0)), self.control.clone(), self.cancel.clone());
        let look = move || Survey::of(&all, &scene.judge, &scene.topics, plan, &asked, &cancel);
        let survey = blocking(look).await??;
        let remembered_until = survey.remembered.and_then(|left| Timestamp::now().checked_add(left).ok());
        Ok(Rewind { group: self.group(), moves, survey, warnings, remembered_until })
    }

    /// How long the way may take where nobody says so: a quarter of the shortest time for which a handler's events are
    /// remembered.
    pub(crate) fn way_back(&self) -> Duration {
        let memory = Memory::of(self.service, self.settings);
        memory.handlers.into_values().min().unwrap_or_default() / 4
    }

    /// Moves them. Kafka refuses while the group has members.
    pub(crate) async fn go_back(&self, moves: &[Move]) -> Result<(), ReplayError> {
        let (client, group, moves) = (self.kafka.clone(), self.group(), moves.to_vec());
        let refused =
            format!("group {group} has members: stop its workers first, for they go on from where they are");
        let moved = blocking(move || -> Result<Option<String>, KafkaFault> {
            let mut reader = None;
            for of_topic in moves.chunk_by(|one, other| one.topic == other.topic) {
                let Some(Move { topic, .. }) = of_topic.first() else { continue };
                let partitions = of_topic.iter().map(|one| one.partition).collect();
                let opened = LogReader::open(&client, &group, &topic.as_str().into())?;
                if let Some(other) = overtaken(of_topic, &opened.committed(&partitions)?) {
                    return Ok(Some(other));
                }
                reader = Some(opened);
            }
            // In one request, so that all of them move or none.
            let offsets: Vec<_> = moves.iter().map(|one| (&*one.topic, one.partition, one.to)).collect();
            match reader.map(|reader| reader.commit(&offsets)).transpose()? {
                Some(false) => Ok(Some(refused)),
                _ => Ok(None),
            }
        });
        match moved.await? {
            Ok(None) => Ok(()),
            Ok(Some(refused)) => Err(ReplayError::Trouble(refused)),
            Err(fault) => Err(ReplayError::Trouble(format!("Kafka: {fault}"))),
        }
    }
}

/// Why nothing moves any more, if the group is not where it was when it was looked at: from elsewhere it might go
/// forward, and leave events out.
fn overtaken(moves: &[Move], committed: &BTreeMap<i32, i64>) -> Option<String> {
    let other = moves.iter().find(|one| committed.get(&one.partition) != Some(&one.from))?;
    let Move { topic, partition, from, .. } = other;
    Some(format!(
        "the group was at offset {from} of partition {partition} of {topic} when it was looked at, and is not any more: look again"
    ))
}

/// What moves in one topic; the plan is cut down to what lies between.
fn moves_of(planned: &mut TopicPlan) -> Vec<Move> {
    let TopicPlan { topic, stretches, open, committed, .. } = planned;
    // What nobody could read yet the group has not passed.
    open.clear();
    let mut moves = Vec::new();
    stretches.retain_mut(|stretch| {
        let from = committed.iter().find(|(partition, _)| *partition == stretch.partition).map(|(_, at)| *at);
        let Some(from) = from.filter(|from| stretch.begin < *from) else { return false };
        moves.push(Move { topic: topic.to_string(), partition: stretch.partition, from, to: stretch.begin });
        stretch.end = stretch.end.min(from);
        true
    });
    moves
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_that_somebody_else_has_moved_stays_there() {
        let one = |partition, from| Move { topic: "t".to_owned(), partition, from, to: 5 };
        let moves = [one(0, 10), one(1, 10)];
        assert_eq!(overtaken(&moves, &[(0, 10), (1, 10)].into()), None);
        for committed in [BTreeMap::from([(0, 10), (1, 3)]), BTreeMap::from([(0, 10)])] {
            let why = overtaken(&moves, &committed).unwrap();
            assert!(why.starts_with("the group was at offset 10 of partition 1 of t when"), "{why}");
        }
    }
}
