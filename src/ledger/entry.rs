//! One record of the ledger: the digest of a key in the store, and how its event ended.

use bytes::Bytes;

use crate::{Record, pipeline::NewRecord, store::StoreKey};

/// The first byte of every value says how the rest is to be read.
const DONE: &[u8] = b"1D";
const DEAD: &[u8] = b"1X";
const BEGUN: &[u8] = b"1B";

/// What an entry says of its event; what comes later in this list is the stronger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Said {
    /// A replay was about to run it: whether it took effect is not known.
    Begun,
    /// Its dead letter was acknowledged.
    Dead,
    /// It took effect.
    Done,
}

/// The topic where a group's ledger is kept.
pub(crate) fn topic(prefix: &str, group: &str) -> String {
    format!("{prefix}.ledger.{group}")
}

/// What is written about an event.
pub(crate) fn record(topic: &str, key: &StoreKey, said: Said) -> NewRecord {
    let value = match said {
        Said::Done => DONE,
        Said::Dead => DEAD,
        Said::Begun => BEGUN,
    };
    entry(topic, key, None, Some(Bytes::from_static(value)))
}

/// Takes the entry of an event away, in one partition: a topic that has grown may have it in another one than now.
pub(crate) fn taken_away(topic: &str, key: &StoreKey, partition: i32) -> NewRecord {
    entry(topic, key, Some(partition), None)
}

fn entry(topic: &str, key: &StoreKey, partition: Option<i32>, value: Option<Bytes>) -> NewRecord {
    NewRecord {
        topic: topic.to_owned(),
        partition,
        timestamp: None,
        key: Some(Bytes::copy_from_slice(&key.digest().to_be_bytes())),
        value,
        headers: Vec::new(),
    }
}

/// A record of the topic that this version cannot read. What it says may matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unreadable;

/// The digest of an event's key and what a record says of it; nothing where its entry is taken away.
pub(super) fn read(record: &Record) -> Result<(u128, Option<Said>), Unreadable> {
    let key = record.key.as_deref().and_then(|key| key.try_into().ok()).ok_or(Unreadable)?;
    let said = match record.value.as_deref() {
        None => None,
        Some(DONE) => Some(Said::Done),
        Some(DEAD) => Some(Said::Dead),
        Some(BEGUN) => Some(Said::Begun),
        Some(_) => return Err(Unreadable),
    };
    Ok((u128::from_be_bytes(key), said))
}

/// What is read is one of the three things that are written, under a key of their length.
#[cfg(feature = "fuzzing")]
pub(crate) fn fuzz(record: &Record) {
    if read(record).is_ok() {
        assert_eq!(record.key.as_ref().map(Bytes::len), Some(16));
        assert!(record.value.as_ref().is_none_or(|value| value.len() == 2));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_back(key: Option<&[u8]>, value: Option<&[u8]>) -> Result<(u128, Option<Said>), Unreadable> {
        let part = |part: Option<&[u8]>| part.map(Bytes::copy_from_slice);
        read(&Record {
            topic: "ledger".into(),
            partition: 0,
            offset: 0,
            timestamp: None,
            key: part(key),
            value: part(value),
            headers: Vec::new(),
        })
    }

    #[test]
    fn what_is_written_can_be_read_for_ever() {
        let key = StoreKey::new("oncewise", "payments", "charge", "order-1");
        for (said, bytes) in [(Said::Done, b"1D"), (Said::Dead, b"1X"), (Said::Begun, b"1B")] {
            let written = record("ledger", &key, said);
            assert_eq!(
                (written.key.as_ref().map(Bytes::len), written.value.as_deref()),
                (Some(16), Some(&bytes[..]))
            );
            let read = read_back(written.key.as_deref(), written.value.as_deref());
            assert_eq!(read, Ok((0x7f43_35a7_8b5a_1d33_372b_1fe8_86e5_278b, Some(said))));
        }
    }

    #[test]
    fn what_a_later_version_writes_is_not_overlooked() {
        let key = [7; 16];
        assert_eq!(read_back(Some(&key), Some(b"2D")), Err(Unreadable));
        assert_eq!(read_back(Some(b"since"), Some(b"1D")), Err(Unreadable));
        assert_eq!(read_back(None, Some(b"1D")), Err(Unreadable));
        assert_eq!(read_back(Some(&key), None), Ok((u128::from_be_bytes(key), None)));
    }
}
