//! Where a partition begins. Pure: everything that was asked of Kafka and of the store is passed in.
//!
//! The very first start of a group is a choice of the configuration. After that every partition has a
//! committed offset, and the store remembers that it had: a missing or impossible one is a loss, and which
//! records that concerns is for a person to decide.

use std::collections::BTreeMap;

use crate::store::{Accepted, Anchors};

/// What is known about one partition that has just been assigned.
#[derive(Debug, Clone)]
pub(crate) struct Known<'a> {
    pub(crate) topic: &'a str,
    pub(crate) partition: i32,
    /// The first offset that the log still has, and the one its next record will get.
    pub(crate) log: (i64, i64),
    /// The group's committed offsets, for every partition of the topic that has one.
    pub(crate) committed: &'a BTreeMap<i32, i64>,
    /// What the store remembers of the group's first start on this topic.
    pub(crate) anchors: &'a Anchors,
    /// Where a very first start begins, as an offset of this partition.
    pub(crate) first_start: i64,
    /// The id of the topic that has this name now, where the broker tells it.
    pub(crate) topic_id: Option<&'a str>,
}

/// Where to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Start {
    At(i64),
    /// Not before a person has decided; why.
    Hold(String),
}

impl Known<'_> {
    pub(crate) fn start(&self) -> Start {
        match (self.known_start(), self.anchors.accepted.get(&self.partition)) {
            (Start::Hold(_), Some(accepted)) => self.accepted(*accepted),
            // A decision about a partition that is not lost changes nothing.
            (start, _) => start,
        }
    }

    /// Where the log ends, if that is before what the group has committed: from there on it will have other records.
    pub(crate) fn lost_from(&self) -> Option<i64> {
        let end = self.log.1;
        self.committed.get(&self.partition).filter(|committed| **committed > end).map(|_| end)
    }

    fn accepted(&self, accepted: Accepted) -> Start {
        let (low, high) = self.log;
        match accepted {
            Accepted::Earliest => Start::At(low),
            Accepted::Latest => Start::At(high),
            Accepted::Offset(offset) if (low..=high).contains(&offset) => Start::At(offset),
            Accepted::Offset(offset) => {
                self.hold(&format!("the accepted offset {offset} is outside of the log, {low} to {high}"))
            }
        }
    }

    fn known_start(&self) -> Start {
        let (low, high) = self.log;
        let began_in = self.anchors.topic_ids.get(&self.partition);
        if let (Some(began_in), Some(now)) = (began_in, self.topic_id)
            && began_in != now
        {
            return self.hold("the topic was deleted and created again: offsets of the old one mean nothing");
        }
        let lost = self.anchors.lost.get(&self.partition);
        match self.committed.get(&self.partition) {
            Some(offset) if (low..=high).contains(offset) => match lost {
                // The log has grown past the offset since then, with records that nobody has had. An offset that was
                // moved back to before them passes over nothing.
                Some(from) if offset > from => self.hold(&format!(
                    "its log had lost its end: records from {from} on may be others than those that were handled, and {offset} is committed"
                )),
                _ => Start::At(*offset),
            },
            Some(offset) if *offset < low => {
                self.hold(&format!("records {offset} to {} were deleted before they were handled", low - 1))
            }
            Some(offset) => self.hold(&format!(
                "the committed offset {offset} is beyond the end of the log, {high}: the topic was created again, or somebody moved the offset"
            )),
            None => self.without_offset(),
        }
    }

    fn without_offset(&self) -> Start {
        let (low, high) = self.log;
        if let Some(began) = self.anchors.started.get(&self.partition) {
            return self.hold(&format!("its committed offset is gone; the group began at {began}"));
        }
        match self.anchors.partitions {
            // Partitions that were added later are read from their beginning.
            Some(partitions) if self.partition >= partitions => Start::At(low),
            // Another worker made the first start a moment ago.
            Some(_) => Start::At(self.first_start),
            None if self.committed.is_empty() => Start::At(self.first_start),
            None if low == high => Start::At(high),
            None => self.hold("it has no committed offset although the topic's other partitions have"),
        }
    }

    fn hold(&self, why: &str) -> Start {
        let Self { topic, partition, .. } = self;
        Start::Hold(format!(
            "{why}; decide with: worker check --accept {topic}:{partition}=earliest|latest|OFFSET"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Case {
        log: (i64, i64),
        committed: Vec<(i32, i64)>,
        anchors: Anchors,
    }

    impl Case {
        fn partition(&self, partition: i32) -> Start {
            let committed = self.committed.iter().copied().collect();
            let (log, anchors, first_start) = (self.log, &self.anchors, self.log.1);
            let topic_id = Some("id");
            Known { topic: "orders", partition, log, committed: &committed, anchors, first_start, topic_id }
                .start()
        }
    }

    fn anchors(partitions: i32, started: &[i32]) -> Anchors {
        Anchors {
            partitions: Some(partitions),
            started: started.iter().map(|partition| (*partition, 0)).collect(),
            topic_ids: started.iter().map(|partition| (*partition, "id".to_owned())).collect(),
            ..Anchors::default()
        }
    }

    fn reason(start: Start) -> String {
        match start {
            Start::Hold(why) => why,
            Start::At(offset) => panic!("begins at {offset}"),
        }
    }

    #[test]
    fn a_very_first_start_is_the_configurations_choice() {
        let case = Case { log: (5, 50), committed: vec![], anchors: Anchors::default() };
        assert_eq!(case.partition(0), Start::At(50));
    }

    #[test]
    fn a_committed_offset_is_where_it_goes_on() {
        let case =
            Case { log: (5, 50), committed: vec![(0, 20), (1, 50), (2, 5)], anchors: anchors(3, &[0, 1, 2]) };
        assert_eq!((0..3).map(|p| case.partition(p)).collect::<Vec<_>>(), [20, 50, 5].map(Start::At));
    }

    #[test]
    fn a_missing_offset_after_the_first_start_is_a_loss() {
        let case = Case { log: (5, 50), committed: vec![(1, 20)], anchors: anchors(2, &[0, 1]) };
        let why = reason(case.partition(0));
        assert!(why.contains("gone") && why.contains("--accept orders:0=earliest|latest|OFFSET"), "{why}");
        let everything_gone = Case { committed: vec![], ..case };
        assert!(reason(everything_gone.partition(0)).contains("gone"));
    }

    #[test]
    fn an_offset_outside_of_the_log_is_a_loss() {
        let case = Case { log: (5, 50), committed: vec![(0, 4), (1, 51)], anchors: anchors(2, &[0, 1]) };
        assert!(reason(case.partition(0)).starts_with("records 4 to 4 were deleted"));
        assert!(reason(case.partition(1)).starts_with("the committed offset 51 is beyond the end"));
    }

    #[test]
    fn a_log_that_has_grown_past_the_offset_after_it_lost_its_end_is_still_a_loss() {
        let lost = |committed, accepted: &[(i32, Accepted)]| {
            let lost = BTreeMap::from([(0, 60)]);
            let accepted = accepted.iter().copied().collect();
            let anchors = Anchors { lost, accepted, ..anchors(1, &[0]) };
            Case { log: (5, 200), committed: vec![(0, committed)], anchors }.partition(0)
        };
        assert!(reason(lost(99, &[])).starts_with("its log had lost its end: records from 60 on"));
        assert_eq!(lost(60, &[]), Start::At(60), "moved back by a person");
        assert_eq!(lost(99, &[(0, Accepted::Offset(60))]), Start::At(60));
        assert_eq!(lost(99, &[(0, Accepted::Offset(99))]), Start::At(99));
    }

    #[test]
    fn where_a_log_has_lost_its_end_is_known_only_while_it_is_shorter() {
        let from = |end, committed: &[(i32, i64)]| {
            let (committed, anchors) = (committed.iter().copied().collect(), Anchors::default());
            let log = (5, end);
            Known {
                topic: "t",
                partition: 0,
                log,
                committed: &committed,
                anchors: &anchors,
                first_start: 5,
                topic_id: None,
            }
            .lost_from()
        };
        assert_eq!(from(60, &[(0, 99)]), Some(60));
        assert_eq!([from(99, &[(0, 99)]), from(60, &[]), from(60, &[(0, 4)])], [None; 3]);
    }

    #[test]
    fn a_topic_created_again_is_a_loss_even_where_the_offset_fits() {
        let mut anchors = anchors(1, &[0]);
        anchors.topic_ids.insert(0, "another".to_owned());
        let case = Case { log: (0, 50), committed: vec![(0, 20)], anchors };
        assert!(reason(case.partition(0)).contains("created again"));
    }

    #[test]
    fn a_new_partition_of_a_known_topic_starts_at_its_beginning() {
        let case = Case { log: (5, 50), committed: vec![(0, 20)], anchors: anchors(1, &[0]) };
        assert_eq!(case.partition(1), Start::At(5));
    }

    #[test]
    fn a_first_start_that_others_have_begun_is_finished_the_same_way() {
        let case = Case { log: (5, 50), committed: vec![(0, 20)], anchors: anchors(2, &[0]) };
        assert_eq!(case.partition(1), Start::At(50));
    }

    #[test]
    fn without_the_stores_memory_a_single_missing_offset_is_a_loss_unless_nothing_can_be_lost() {
        let case = Case { log: (5, 50), committed: vec![(0, 20)], anchors: Anchors::default() };
        assert!(reason(case.partition(1)).contains("no committed offset"));
        let empty = Case { log: (0, 0), ..case };
        assert_eq!(empty.partition(1), Start::At(0));
    }

    #[test]
    fn a_decision_about_what_is_not_lost_changes_nothing() {
        let anchors = Anchors { accepted: BTreeMap::from([(0, Accepted::Latest)]), ..anchors(1, &[0]) };
        assert_eq!(Case { log: (5, 50), committed: vec![(0, 20)], anchors }.partition(0), Start::At(20));
    }

    #[test]
    fn a_persons_decision_ends_the_wait() {
        let decided = |accepted| {
            let anchors = Anchors { accepted: BTreeMap::from([(0, accepted)]), ..anchors(1, &[0]) };
            Case { log: (5, 50), committed: vec![(0, 99)], anchors }.partition(0)
        };
        assert_eq!(decided(Accepted::Earliest), Start::At(5));
        assert_eq!(decided(Accepted::Latest), Start::At(50));
        assert_eq!(decided(Accepted::Offset(7)), Start::At(7));
        assert!(reason(decided(Accepted::Offset(51))).contains("outside of the log, 5 to 50"));
    }
}
