//! A person's decision about a partition whose position was lost.

use std::{fmt, str::FromStr};

use crate::store::Accepted;

/// Where a held partition goes on, as given on the command line: `TOPIC:P=earliest|latest|N`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accept {
    /// The topic's physical name.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// Where it goes on.
    pub position: Accepted,
}

/// Why a decision cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "--accept \"{given}\": {wrong}; expected TOPIC:P=earliest|latest|N, such as orders.created:0=earliest"
)]
pub struct AcceptError {
    given: String,
    wrong: String,
}

impl FromStr for Accept {
    type Err = AcceptError;

    fn from_str(given: &str) -> Result<Self, AcceptError> {
        let wrong = |wrong: String| AcceptError { given: given.to_owned(), wrong };
        let (place, position) = given.split_once('=').ok_or_else(|| wrong("there is no '='".to_owned()))?;
        let (topic, partition) =
            place.rsplit_once(':').ok_or_else(|| wrong("there is no ':' before the partition".to_owned()))?;
        let legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if topic.is_empty() || !topic.chars().all(legal) {
            return Err(wrong(format!("\"{topic}\" is no name of a topic")));
        }
        let number = partition.parse().ok().filter(|partition| *partition >= 0);
        let partition = number.ok_or_else(|| wrong(format!("\"{partition}\" is no partition")))?;
        let position = position.parse().map_err(|_| wrong(format!("\"{position}\" is no position")))?;
        Ok(Self { topic: topic.to_owned(), partition, position })
    }
}

impl fmt::Display for Accept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topic, partition, position } = self;
        write!(f, "{topic}:{partition}={position}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decisions_are_read_and_written_alike() {
        for text in ["orders.created:0=earliest", "a-b_C.d:12=latest", "orders:3=9000000000"] {
            assert_eq!(text.parse::<Accept>().expect("readable").to_string(), text);
        }
        let accept: Accept = "orders:3=7".parse().expect("readable");
        assert_eq!((accept.partition, accept.position), (3, Accepted::Offset(7)));
    }

    #[test]
    fn each_part_is_checked_and_named() {
        for (text, expected) in [
            ("orders:0", "no '='"),
            ("orders=earliest", "no ':'"),
            (":0=earliest", "\"\" is no name"),
            ("or ders:0=earliest", "\"or ders\" is no name"),
            ("orders:-1=earliest", "\"-1\" is no partition"),
            ("orders:x=earliest", "\"x\" is no partition"),
            ("orders:0=soonest", "\"soonest\" is no position"),
            ("orders:0=-2", "\"-2\" is no position"),
            ("orders:0=", "\"\" is no position"),
        ] {
            let error = text.parse::<Accept>().expect_err(text).to_string();
            assert!(error.contains(expected) && error.contains(text), "{error}");
        }
    }
}
