//! For how long events are put out of the way when they are to be tried later. Pure.

use std::{fmt, time::Duration};

/// The delays of a [`RetryPolicy`](super::retry::RetryPolicy) that moves events out of their lanes: ascending, each with a
/// topic of its own. None, unless somebody says so.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Delays {
    delays: [Duration; Delays::MOST],
    count: usize,
}

impl Delays {
    /// So many there may be: each is a topic.
    pub const MOST: usize = 8;

    /// None: events wait in their lanes.
    pub const NONE: Self = Self { delays: [Duration::ZERO; Self::MOST], count: 0 };

    /// These delays; `None` where they do not ascend from a millisecond on, or are more than [`MOST`](Self::MOST).
    #[must_use]
    pub fn of(delays: &[Duration]) -> Option<Self> {
        let mut all = Self::NONE;
        all.delays.get_mut(..delays.len())?.copy_from_slice(delays);
        all.count = delays.len();
        let begins = delays.first().is_none_or(|first| first.as_millis() > 0);
        (begins && delays.is_sorted_by(|one, other| one < other)).then_some(all)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = Duration> + use<> {
        self.delays.into_iter().take(self.count)
    }

    /// The one for the first time (0), the second and so on; the last counts for all further ones.
    pub(super) fn nth(&self, number: u32) -> Option<Duration> {
        let last = self.count.checked_sub(1)?;
        Some(self.delays[usize::try_from(number).map_or(last, |number| number.min(last))])
    }

    pub(crate) fn shortest(&self) -> Option<Duration> {
        self.iter().next()
    }

    pub(crate) fn longest(&self) -> Option<Duration> {
        self.iter().last()
    }

    /// The longest that is over by then.
    pub(crate) fn fitting(&self, left: Duration) -> Option<Duration> {
        self.iter().filter(|delay| *delay <= left).last()
    }
}

impl fmt::Debug for Delays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(all: &[u64]) -> Option<Delays> {
        Delays::of(&all.iter().map(|seconds| Duration::from_secs(*seconds)).collect::<Vec<_>>())
    }

    #[test]
    fn they_ascend_and_are_few() {
        assert_eq!(seconds(&[]), Some(Delays::NONE));
        assert_eq!(seconds(&[1, 2, 3, 4, 5, 6, 7, 8]).unwrap().iter().count(), Delays::MOST);
        for wrong in [&[0, 1][..], &[2, 1], &[1, 1], &[1, 2, 3, 4, 5, 6, 7, 8, 9]] {
            assert_eq!(seconds(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn the_last_counts_for_all_that_follow_and_the_longest_that_fits_is_taken() {
        let delays = seconds(&[1, 10]).unwrap();
        let second = |number| delays.nth(number).unwrap().as_secs();
        assert_eq!([second(0), second(1), second(2), second(u32::MAX)], [1, 10, 10, 10]);
        let fits = |left| delays.fitting(Duration::from_millis(left)).map(|delay| delay.as_secs());
        assert_eq!([fits(999), fits(1000), fits(9999), fits(100_000)], [None, Some(1), Some(1), Some(10)]);
        assert_eq!((Delays::NONE.nth(0), Delays::NONE.fitting(Duration::MAX)), (None, None));
    }
}
