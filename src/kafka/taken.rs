//! What is taken in from one partition in one turn of the loop that polls.

use std::sync::Arc;

use crate::{Record, pipeline::Bounds};

/// Records of one partition taken in before anything else gets its turn.
const MOST: usize = 1000;

/// Records on their way from the queue of a partition to its work.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) records: Vec<Arc<Record>>,
    bytes: usize,
}

impl Taken {
    pub(super) fn add(&mut self, record: Record) {
        self.bytes += record.weight();
        self.records.push(Arc::new(record));
    }

    /// How many more there is room for, if they weigh what those before do. The first comes alone.
    pub(super) fn fit(&self, room: Bounds) -> usize {
        let bytes = room.bytes.saturating_sub(self.bytes);
        let usual = self.bytes.checked_div(self.records.len()).unwrap_or(bytes).max(1);
        room.records.min(MOST).saturating_sub(self.records.len()).min(bytes.div_ceil(usual))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_goes_beyond_the_bytes_by_one_record_of_the_usual_weight_at_most() {
        let record = || Record { value: Some(vec![0; 1000].into()), ..crate::testing::record() };
        let weight = record().weight();
        let room = Bounds { records: 400, bytes: 10 * weight + 1 };
        let mut taken = Taken::default();
        assert_eq!(taken.fit(room), 1, "nothing is known of them yet");
        taken.add(record());
        assert_eq!(taken.fit(room), 10);
        (0..9).for_each(|_| taken.add(record()));
        assert_eq!(taken.fit(room), 1);
        taken.add(record());
        assert_eq!(taken.fit(room), 0);
        assert_eq!(Taken::default().fit(Bounds { records: 0, ..room }), 0);
        assert_eq!(Taken::default().fit(Bounds { bytes: 0, ..room }), 0);
    }

    #[test]
    fn nobody_else_waits_for_more_than_so_many() {
        let room = Bounds { records: usize::MAX, bytes: usize::MAX };
        let mut taken = Taken::default();
        while taken.fit(room) > 0 {
            taken.add(crate::testing::record());
        }
        assert_eq!(taken.records.len(), MOST);
    }
}
