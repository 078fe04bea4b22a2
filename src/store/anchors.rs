use std::collections::BTreeMap;

/// What the store remembers, without a time limit, of a group's very first start on a topic.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Anchors {
    /// How many partitions the topic had then; a partition with a higher number came later and starts at its beginning.
    pub partitions: Option<i32>,
    /// Where reading began, by partition.
    pub started: BTreeMap<i32, i64>,
    /// The id of the topic that each partition began in: under the same name there may be another by now.
    pub topic_ids: BTreeMap<i32, String>,
    /// Losses that a person has accepted and no worker has acted upon yet, by partition.
    pub accepted: BTreeMap<i32, Accepted>,
    /// Where each log that had lost its end went on with other records, by partition, until a person has decided.
    pub lost: BTreeMap<i32, i64>,
}

/// Where a partition goes on after a person has accepted that its position was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// At the oldest record the broker still has.
    Earliest,
    /// Behind the newest record.
    Latest,
    /// At this offset.
    Offset(i64),
}

impl std::fmt::Display for Accepted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Earliest => f.write_str("earliest"),
            Self::Latest => f.write_str("latest"),
            Self::Offset(offset) => write!(f, "{offset}"),
        }
    }
}

/// A position that is neither `earliest`, `latest` nor an offset.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("position {0:?} is not allowed; allowed are earliest, latest or an offset of 0 or more")]
pub struct InvalidPosition(String);

impl std::str::FromStr for Accepted {
    type Err = InvalidPosition;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "earliest" => Ok(Self::Earliest),
            "latest" => Ok(Self::Latest),
            number => match number.parse() {
                Ok(offset) if offset >= 0 => Ok(Self::Offset(offset)),
                _ => Err(InvalidPosition(text.to_owned())),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_read_back_as_they_were_written() {
        for position in [Accepted::Earliest, Accepted::Latest, Accepted::Offset(0), Accepted::Offset(42)] {
            assert_eq!(position.to_string().parse(), Ok(position));
        }
    }

    #[test]
    fn a_wrong_position_is_named_with_what_is_allowed() {
        let error = "-1".parse::<Accepted>().unwrap_err().to_string();
        assert!(error.contains("\"-1\"") && error.contains("earliest, latest"), "{error}");
    }
}
