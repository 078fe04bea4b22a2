//! The metadata of commits: written along, and read without trust. The Rust interface of the client library panics where
//! somebody has written something there that is no text.
#![expect(unsafe_code, reason = "the safe interface panics where the metadata is no text")]

use std::{collections::BTreeMap, slice};

use rdkafka::{Offset, TopicPartitionList, error::KafkaError};

use super::assignment::Name;
use crate::pipeline::{Finished, finished::Place};

/// What is to be committed for one partition.
#[derive(Debug)]
pub(super) struct Point {
    pub(super) name: Name,
    pub(super) offset: i64,
    /// Empty for none.
    pub(super) note: String,
}

/// A list for the client library.
pub(super) fn list_of<'a>(
    points: impl IntoIterator<Item = &'a Point>,
) -> Result<TopicPartitionList, KafkaError> {
    let mut list = TopicPartitionList::new();
    for Point { name: (topic, partition), offset, note } in points {
        let mut element = list.add_partition(topic, *partition);
        element.set_offset(Offset::Offset(*offset))?;
        if !note.is_empty() {
            element.set_metadata(note);
        }
    }
    Ok(list)
}

/// The metadata of each partition that has some, of a list about one topic.
pub(super) fn notes(list: &TopicPartitionList) -> BTreeMap<i32, String> {
    // SAFETY: the list is alive as long as it is borrowed, and has as many elements as it says. Metadata belongs to its
    // element and is as long as that says; it is copied here.
    let elements = unsafe {
        let list = &*list.ptr();
        let count = usize::try_from(list.cnt).unwrap_or(0);
        if list.elems.is_null() { &[] } else { slice::from_raw_parts(list.elems, count) }
    };
    let noted = elements.iter().filter(|element| !element.metadata.is_null() && element.metadata_size > 0);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    noted
        .map(|element| {
            // SAFETY: as above.
            let bytes =
                unsafe { slice::from_raw_parts(element.metadata.cast::<u8>(), element.metadata_size) };
            (element.partition, text(bytes))
        })
        .collect()
}

/// What an owner of before has finished beyond the offset that it committed. A note that says nothing costs nothing but
/// questions to the store.
pub(super) fn finished(topic: &str, note: &str, place: &Place<'_>, log_end: i64) -> Finished {
    Finished::read(note, place, log_end).unwrap_or_else(|why| {
        let Place { partition, offset, .. } = *place;
        tracing::warn!(
            %topic, partition, offset, %why, "the metadata of the commit is left aside: the store is asked about every record"
        );
        Finished::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_found_with_their_partitions_and_nothing_else_is() {
        let point =
            |partition, note: &str| Point { name: ("t".into(), partition), offset: 5, note: note.to_owned() };
        let list = list_of(&[point(0, "a"), point(1, ""), point(2, "b")]).unwrap();
        assert_eq!(notes(&list), BTreeMap::from([(0, "a".to_owned()), (2, "b".to_owned())]));
        assert!(list.elements().iter().all(|element| element.offset() == Offset::Offset(5)));
    }
}
