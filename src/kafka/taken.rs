//! What is taken in from one partition at once, by the loop that polls or for a batch.

use std::sync::Arc;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::{Record, pipeline::Bounds};

/// Records of one partition taken in before anything else gets its turn.
const MOST: usize = 1000;

/// Records on their way from the queue of a partition to its work, and perhaps an error behind them.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) records: Vec<Arc<Record>>,
    bytes: usize,
    pub(super) failed: Option<Failed>,
}

/// What came from a partition since somebody looked.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// Records have come.
    pub(super) flows: bool,
    /// What has come in the place of a record, behind them.
    pub(super) failed: Option<Failed>,
}

/// What has come in the place of a record.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) code: RDKafkaErrorCode,
    pub(super) is_fatal: bool,
    /// What Kafka's client says about it.
    pub(super) reason: String,
}

impl From<&Failed> for KafkaError {
    fn from(failed: &Failed) -> Self {
        match failed.is_fatal {
            true => Self::MessageConsumptionFatal(failed.code),
            false => Self::MessageConsumption(failed.code),
        }
    }
}

impl Taken {
    pub(super) fn add(&mut self, record: Record) {
        self.bytes += record.weight();
        self.records.push(Arc::new(record));
    }

    pub(super) fn fail(&mut self, failed: Failed) {
        self.failed = Some(failed);
    }

    /// Whether nothing more is to be taken: there is no room, or an error came last.
    pub(super) fn is_full(&self, room: Bounds) -> bool {
        self.failed.is_some() || self.records.len() >= room.records.min(MOST) || self.bytes >= room.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_record_too_large_is_the_most_that_is_taken() {
        let record = |bytes: usize| Record { value: Some(vec![0; bytes].into()), ..crate::testing::record() };
        let room = Bounds { records: 400, bytes: 2 * record(100).weight() };
        let mut taken = Taken::default();
        assert!(!taken.is_full(room));
        taken.add(record(100));
        assert!(!taken.is_full(room));
        taken.add(record(1_000_000));
        assert!(taken.is_full(room));
        assert!(Taken::default().is_full(Bounds { records: 0, ..room }));
        assert!(Taken::default().is_full(Bounds { bytes: 0, ..room }));
    }

    #[test]
    fn nobody_else_waits_for_more_than_so_many() {
        let room = Bounds { records: usize::MAX, bytes: usize::MAX };
        let mut taken = Taken::default();
        while !taken.is_full(room) {
            taken.add(crate::testing::record());
        }
        assert_eq!(taken.records.len(), MOST);
    }

    #[test]
    fn nothing_is_taken_behind_an_error() {
        let mut taken = Taken::default();
        let code = RDKafkaErrorCode::TopicAuthorizationFailed;
        taken.fail(Failed { code, is_fatal: false, reason: "no".to_owned() });
        assert!(taken.is_full(Bounds { records: 9, bytes: 9 }));
    }
}
