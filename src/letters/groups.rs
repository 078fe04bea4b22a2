//! Many letters as a few lines: one for each cause. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::{Letter, Place, sentence::sentence};

/// Letters of one cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Group {
    /// Names it, for `--filter group=ID`: the same wherever and whenever it is asked for.
    pub(crate) id: String,
    /// The topic of the letters.
    pub(crate) letters: String,
    pub(crate) handler: Option<String>,
    pub(crate) disposition: Option<String>,
    /// The error, without what differs from record to record.
    pub(crate) error: String,
    pub(crate) count: u64,
    /// The time of the first, as far as letters tell theirs.
    pub(crate) first: Option<Timestamp>,
    pub(crate) last: Option<Timestamp>,
    /// One of them.
    pub(crate) sample: Place,
}

impl Group {
    /// The name of the group that a letter belongs to.
    pub(crate) fn id_of(letter: &Letter) -> String {
        let told = &letter.told;
        let mut hasher = blake3::Hasher::new();
        for part in [told.handler.as_deref(), told.disposition.as_deref(), Some(&sentence(letter.error()))] {
            // With its length, or two names could be one with the border moved.
            let part = part.unwrap_or_default();
            hasher.update(&(part.len() as u64).to_be_bytes()).update(part.as_bytes());
        }
        let hash = hasher.finalize();
        hash.to_hex()[..8].to_owned()
    }

    fn new(letters: &str, letter: &Letter) -> Self {
        Self {
            id: Self::id_of(letter),
            letters: letters.to_owned(),
            handler: letter.told.handler.clone(),
            disposition: letter.told.disposition.clone(),
            error: sentence(letter.error()),
            count: 0,
            first: None,
            last: None,
            sample: letter.place,
        }
    }

    fn add(&mut self, letter: &Letter) {
        self.count += 1;
        let Some(time) = letter.written_ms().and_then(|time| Timestamp::from_millisecond(time).ok()) else {
            return;
        };
        self.first = Some(self.first.map_or(time, |first| first.min(time)));
        // The newest is the sample: it is the likeliest to be still of interest.
        if self.last.is_none_or(|last| last <= time) {
            (self.last, self.sample) = (Some(time), letter.place);
        }
    }
}

/// Letters by their causes.
#[derive(Debug, Default)]
pub(crate) struct Groups(BTreeMap<(String, String), Group>);

impl Groups {
    /// Adds a letter of this topic.
    pub(crate) fn add(&mut self, letters: &str, letter: &Letter) {
        let key = (letters.to_owned(), Group::id_of(letter));
        self.0.entry(key).or_insert_with(|| Group::new(letters, letter)).add(letter);
    }

    /// The largest first.
    pub(crate) fn sorted(self) -> Vec<Group> {
        let mut groups: Vec<Group> = self.0.into_values().collect();
        groups.sort_by(|one, other| other.count.cmp(&one.count).then_with(|| one.id.cmp(&other.id)));
        groups
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::letters::{Format, format::Told};

    fn letter(offset: i64, handler: &str, disposition: &str, error: &str) -> Letter {
        let some = |text: &str| Some(text.to_owned());
        let told = Told {
            handler: some(handler),
            disposition: some(disposition),
            error: some(error),
            ..Told::default()
        };
        let place = Place { partition: 0, offset };
        Letter {
            place,
            format: Format::Oncewise,
            told,
            bytes: None,
            timestamp: Some(offset * 1_000),
            key: None,
        }
    }

    #[test]
    fn one_cause_is_one_line() {
        let mut groups = Groups::default();
        for offset in 0..30 {
            groups.add(
                "a.dlt",
                &letter(offset, "charge", "exhausted", &format!("order {offset}: the bank is busy")),
            );
        }
        for offset in 30..40 {
            groups.add(
                "a.dlt",
                &letter(offset, "charge", "rejected", &format!("order {offset}: the bank is busy")),
            );
        }
        groups.add("a.dlt", &letter(40, "refund", "exhausted", "order 1: the bank is busy"));
        let groups = groups.sorted();
        let lines: Vec<_> = groups
            .iter()
            .map(|group| {
                let names = (group.handler.as_deref().unwrap(), group.disposition.as_deref().unwrap());
                (names, group.error.as_str(), group.count, group.sample.offset)
            })
            .collect();
        let error = "order # the bank is busy";
        assert_eq!(
            lines,
            [
                (("charge", "exhausted"), error.replace("# ", "#: ").as_str(), 30, 29),
                (("charge", "rejected"), error.replace("# ", "#: ").as_str(), 10, 39),
                (("refund", "exhausted"), error.replace("# ", "#: ").as_str(), 1, 40),
            ]
        );
        let seconds = |time: Option<Timestamp>| time.unwrap().as_second();
        assert_eq!((seconds(groups[0].first), seconds(groups[0].last)), (0, 29));
        assert_eq!(
            groups[0].id,
            Group::id_of(&letter(99, "charge", "exhausted", "order 9: the bank is busy"))
        );
    }
}
