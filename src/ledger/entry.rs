//! One record of the ledger: the digest of a key in the store, and how its event ended.

use bytes::Bytes;

use crate::{
    Record,
    pipeline::NewRecord,
    store::{End, StoreKey},
};

/// The first byte of every value says how the rest is to be read.
const DONE: &[u8] = b"1D";
const DEAD: &[u8] = b"1X";

/// The topic where a group's ledger is kept.
pub(crate) fn topic(prefix: &str, group: &str) -> String {
    format!("{prefix}.ledger.{group}")
}

/// What is written about an event that ended like this.
pub(crate) fn record(topic: &str, key: &StoreKey, end: End) -> NewRecord {
    let value = match end {
        End::Done => DONE,
        End::Dead => DEAD,
    };
    NewRecord {
        topic: topic.to_owned(),
        partition: None,
        timestamp: None,
        key: Some(Bytes::copy_from_slice(&key.digest().to_be_bytes())),
        value: Some(Bytes::from_static(value)),
        headers: Vec::new(),
    }
}

/// A record of the topic that this version cannot read. What it says may matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unreadable;

/// What a record says; nothing where somebody has taken an entry away with a null value.
pub(super) fn read(record: &Record) -> Result<Option<(u128, End)>, Unreadable> {
    let Some(value) = record.value.as_deref() else { return Ok(None) };
    let key = record.key.as_deref().and_then(|key| key.try_into().ok()).ok_or(Unreadable)?;
    let end = match value {
        DONE => End::Done,
        DEAD => End::Dead,
        _ => return Err(Unreadable),
    };
    Ok(Some((u128::from_be_bytes(key), end)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_back(key: Option<&[u8]>, value: Option<&[u8]>) -> Result<Option<(u128, End)>, Unreadable> {
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
        for (end, bytes) in [(End::Done, b"1D"), (End::Dead, b"1X")] {
            let written = record("ledger", &key, end);
            assert_eq!(
                (written.key.as_ref().map(Bytes::len), written.value.as_deref()),
                (Some(16), Some(&bytes[..]))
            );
            let read = read_back(written.key.as_deref(), written.value.as_deref());
            assert_eq!(read, Ok(Some((0x7f43_35a7_8b5a_1d33_372b_1fe8_86e5_278b, end))));
        }
    }

    #[test]
    fn what_a_later_version_writes_is_not_overlooked() {
        let key = [7; 16];
        assert_eq!(read_back(Some(&key), Some(b"2D")), Err(Unreadable));
        assert_eq!(read_back(Some(b"since"), Some(b"1D")), Err(Unreadable));
        assert_eq!(read_back(None, Some(b"1D")), Err(Unreadable));
        assert_eq!(read_back(Some(&key), None), Ok(None));
    }
}
