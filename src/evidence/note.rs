//! One line of evidence.

use serde::{Serialize, Serializer};

use crate::{
    Record,
    store::{Held, Owner, StoreKey},
};

/// What is noted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Happened {
    /// A partition begins at `offset`, in a new epoch.
    Assigned,
    /// An epoch is over: what it settles from now on is not committed.
    Revoked,
    /// The store answered a question for a claim; `outcome` is its answer.
    Claimed,
    /// A handler is called.
    Began,
    /// It has answered; `outcome` is how.
    Returned,
    /// The store has heard the end of an event; `outcome` is its answer.
    Completed,
    /// A claim was given back.
    Released,
    /// The broker has a dead letter; `outcome` is its disposition.
    DeadLettered,
    /// A record needs no more work; `outcome` is why.
    Settled,
    /// An offset was handed over to be committed.
    Stored,
    /// The broker has committed an offset.
    Committed,
}

/// What happened, to whom: all that is not known is left out.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Note<'a> {
    pub(crate) happened: Happened,
    /// Of the service: two services of a process may read the same topics.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) group: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) topic: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) partition: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) offset: Option<i64>,
    /// Which assignment of the partition, counted by this process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) epoch: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "hexadecimal")]
    pub(crate) key: Option<&'a StoreKey>,
    /// The delivery that asks for the claim or has it.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "name")]
    pub(crate) owner: Option<&'a Owner>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<u64>,
    /// From 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) attempt: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) outcome: Option<&'static str>,
}

impl<'a> Note<'a> {
    fn of(happened: Happened) -> Self {
        Self {
            happened,
            group: None,
            topic: None,
            partition: None,
            offset: None,
            epoch: None,
            key: None,
            owner: None,
            token: None,
            attempt: None,
            outcome: None,
        }
    }

    /// Of one place in a partition.
    pub(crate) fn at(happened: Happened, (topic, partition): (&'a str, i32), offset: i64) -> Self {
        Self { topic: Some(topic), partition: Some(partition), offset: Some(offset), ..Self::of(happened) }
    }

    /// Of one record.
    pub(crate) fn record(happened: Happened, record: &'a Record) -> Self {
        Self::at(happened, (&record.topic, record.partition), record.offset)
    }

    /// Of a claim that is asked for.
    pub(crate) fn claim(happened: Happened, key: &'a StoreKey, owner: &'a Owner) -> Self {
        Self { key: Some(key), owner: Some(owner), ..Self::of(happened) }
    }

    /// Of a claim that was granted.
    pub(crate) fn held(happened: Happened, held: &'a Held) -> Self {
        Self { token: Some(held.token), ..Self::claim(happened, &held.key, &held.owner) }
    }
}

/// The digest of a key, in hexadecimal digits.
fn hexadecimal<S: Serializer>(key: &Option<&StoreKey>, serializer: S) -> Result<S::Ok, S::Error> {
    match key {
        Some(key) => serializer.collect_str(&format_args!("{:032x}", key.digest())),
        None => serializer.serialize_none(),
    }
}

fn name<S: Serializer>(owner: &Option<&Owner>, serializer: S) -> Result<S::Ok, S::Error> {
    match owner {
        Some(owner) => serializer.serialize_str(owner.as_str()),
        None => serializer.serialize_none(),
    }
}
