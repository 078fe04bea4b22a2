//! What one record of a dead-letter topic says. Pure, and never more certain than its headers.

use std::{fmt, str::FromStr};

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::format::{Format, Told};
use crate::Record;

/// Where a letter lies in its topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.partition, self.offset)
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number =
            |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<i64>().ok());
        let (partition, offset) = text.split_once(':').unwrap_or_default();
        let partition = number(partition).flatten().and_then(|number| i32::try_from(number).ok());
        match (partition, number(offset).flatten()) {
            (Some(partition), Some(offset)) => Ok(Self { partition, offset }),
            _ => Err("allowed is a partition and an offset of the letters' topic, such as 3:42".to_owned()),
        }
    }
}

impl Serialize for Place {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One letter, without what it is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Letter {
    /// Where it lies.
    pub(crate) place: Place,
    /// Whose headers it has.
    pub(crate) format: Format,
    #[serde(flatten)]
    pub(crate) told: Told,
    /// Bytes of its value; `None` is a tombstone, or a value that was too large.
    pub(crate) bytes: Option<usize>,
    /// Of the record as it lies there.
    #[serde(skip)]
    pub(crate) timestamp: Option<i64>,
    #[serde(skip)]
    pub(crate) key: Option<Bytes>,
}

impl Letter {
    /// Reads a record as a letter of this format, or of whichever it has.
    pub(crate) fn read(record: &Record, format: Option<Format>) -> Self {
        let (format, told) = Format::tell(&record.headers, format);
        Self {
            place: Place { partition: record.partition, offset: record.offset },
            format,
            told,
            bytes: record.value.as_ref().map(Bytes::len),
            timestamp: record.timestamp,
            key: record.key.clone(),
        }
    }

    /// When it was written, as far as anything says: its last failure, otherwise its own time. In milliseconds since 1970.
    pub(crate) fn written_ms(&self) -> Option<i64> {
        self.told.last_failure.map(Timestamp::as_millisecond).or(self.timestamp)
    }

    /// Whether its value is missing although the record had one.
    pub(crate) fn lacks_value(&self) -> bool {
        self.bytes.is_none() && self.told.disposition.as_deref() == Some("too-large")
    }

    /// What went wrong, in whatever words there are.
    pub(crate) fn error(&self) -> &str {
        self.told.error.as_deref().or(self.told.class.as_deref()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_written_as_partition_and_offset() {
        assert_eq!("3:42".parse(), Ok(Place { partition: 3, offset: 42 }));
        for wrong in ["", ":", "3", "3:", ":42", "-1:2", "3:-2", "3:4:5", "a:b", "3: 4", "99999999999:1"] {
            assert!(wrong.parse::<Place>().unwrap_err().contains("such as 3:42"), "{wrong}");
        }
    }
}
