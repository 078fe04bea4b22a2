use std::sync::Arc;

/// Who asks for a claim: unique per delivery, made of `A-Z a-z 0-9 . _ -`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Owner(Arc<str>);

/// An owner that is empty or holds a character that is not allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("owner {0:?} is not allowed; an owner is one or more of A-Z a-z 0-9 . _ -")]
pub struct InvalidOwner(String);

impl Owner {
    /// The whole name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for Owner {
    type Err = InvalidOwner;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let legal = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        if text.is_empty() || !text.bytes().all(legal) {
            return Err(InvalidOwner(text.to_owned()));
        }
        Ok(Self(text.into()))
    }
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Makes the owners of one process: `<32 hex digits>.<assignment>.<topic>.<partition>.<offset>`.
///
/// The digits are random per process start. Without them a pod that restarts under the same name would take the claim
/// of the process before it for its own, and a payload that kills the process would never be counted.
#[derive(Debug, Clone)]
pub struct OwnerFactory {
    process: String,
}

/// Makes the owners of one partition in one assignment: all but the offset is prepared once.
#[derive(Debug, Clone)]
pub struct PartitionOwners {
    head: Box<str>,
}

/// An owner fits into so much in all but strange cases.
const USUAL: usize = 192;

impl OwnerFactory {
    /// One per process start.
    pub fn new() -> Self {
        Self::of_process(rand::random())
    }

    /// The factory of the process with this number, which nobody else may have.
    pub(crate) fn of_process(number: u128) -> Self {
        Self { process: format!("{number:032x}") }
    }

    /// The owners of one partition; `assignment` counts the assignments of this process.
    pub fn partition(&self, assignment: u64, topic: &str, partition: i32) -> PartitionOwners {
        let mut escaped = String::with_capacity(topic.len());
        for byte in topic.bytes() {
            match byte {
                // Dots may stay, for the fields on both sides hold none; the underscore is what escapes begin with.
                b'.' | b'-' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => escaped.push(byte.into()),
                _ => escaped.push_str(&format!("_{byte:02x}")),
            }
        }
        PartitionOwners { head: format!("{}.{assignment}.{escaped}.{partition}.", self.process).into() }
    }

    /// The owner of one delivery; [`partition`](Self::partition) does it for many.
    pub fn delivery(&self, assignment: u64, topic: &str, partition: i32, offset: i64) -> Owner {
        self.partition(assignment, topic, partition).delivery(offset)
    }
}

impl PartitionOwners {
    /// The owner of one delivery.
    pub fn delivery(&self, offset: i64) -> Owner {
        let mut number = itoa::Buffer::new();
        let number = number.format(offset);
        let mut usual = [0; USUAL];
        let owner = usual.get_mut(..self.head.len() + number.len()).and_then(|bytes| {
            let (head, tail) = bytes.split_at_mut(self.head.len());
            head.copy_from_slice(self.head.as_bytes());
            tail.copy_from_slice(number.as_bytes());
            // Put together on the stack, it costs one allocation.
            std::str::from_utf8(bytes).ok().map(Arc::from)
        });
        Owner(owner.unwrap_or_else(|| [&*self.head, number].concat().into()))
    }
}

impl Default for OwnerFactory {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_processes_never_share_an_owner() {
        let (one, other) = (OwnerFactory::new(), OwnerFactory::new());
        assert_ne!(one.delivery(1, "orders", 0, 7), other.delivery(1, "orders", 0, 7));
        assert_eq!(one.delivery(1, "orders", 0, 7), one.delivery(1, "orders", 0, 7));
        assert_ne!(one.delivery(1, "orders", 0, 7), one.delivery(2, "orders", 0, 7));
    }

    #[test]
    fn every_topic_gives_a_legal_and_distinct_owner() {
        let factory = OwnerFactory::new();
        let topics = ["a.b", "a_b", "a_5fb", "a:b", "a b", "zürich", "a", "a.0", ""];
        let owners: std::collections::HashSet<Owner> =
            topics.iter().map(|topic| factory.delivery(1, topic, 0, 0)).collect();
        assert_eq!(owners.len(), topics.len());
        for owner in owners {
            assert_eq!(owner.as_str().parse(), Ok(owner.clone()));
        }
    }

    #[test]
    fn its_text_is_what_others_read() {
        let factory = OwnerFactory::new();
        let owners = factory.partition(3, "orders.created", 7);
        assert_eq!(owners.delivery(42).as_str(), format!("{}.3.orders.created.7.42", factory.process));
        let long = "_".repeat(249);
        let owner = factory.delivery(1, &long, 0, i64::MIN);
        assert_eq!(owner.as_str(), format!("{}.1.{}.0.{}", factory.process, "_5f".repeat(249), i64::MIN));
    }

    #[test]
    fn an_owner_that_would_break_the_record_is_refused() {
        for text in ["", "a:b", "a b", "ä"] {
            assert!(text.parse::<Owner>().unwrap_err().to_string().contains(&format!("{text:?}")));
        }
    }
}
