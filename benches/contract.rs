//! What a program that is measured is told, and what it answers: the same for ours and for everybody else's.

use std::{env, fmt::Display, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{Result, delay::Delay};

/// One job, from the environment.
#[derive(Debug, Clone)]
pub(crate) struct Contract {
    pub(crate) brokers: String,
    pub(crate) redis_url: String,
    pub(crate) topic: String,
    pub(crate) group: String,
    /// How many records to see before it ends.
    pub(crate) expect: u64,
    /// How long a handler waits.
    pub(crate) wait: Duration,
    /// How long a handler computes, after it has waited.
    pub(crate) compute: Duration,
    /// Handlers at the same time.
    pub(crate) in_flight: usize,
}

impl Contract {
    pub(crate) fn from_env() -> Result<Self> {
        Ok(Self {
            brokers: text("BROKERS")?,
            redis_url: text("REDIS_URL")?,
            topic: text("TOPIC")?,
            group: text("GROUP")?,
            expect: number("EXPECT", None)?,
            wait: Duration::from_micros(number("HANDLER_US", Some(0))?),
            compute: Duration::from_micros(number("HANDLER_CPU_US", Some(0))?),
            in_flight: number("CONCURRENCY", Some(64))?,
        })
    }

    /// The same for the environment of a process.
    pub(crate) fn to_env(&self) -> Vec<(&'static str, String)> {
        vec![
            ("BROKERS", self.brokers.clone()),
            ("REDIS_URL", self.redis_url.clone()),
            ("TOPIC", self.topic.clone()),
            ("GROUP", self.group.clone()),
            ("EXPECT", self.expect.to_string()),
            ("HANDLER_US", self.wait.as_micros().to_string()),
            ("HANDLER_CPU_US", self.compute.as_micros().to_string()),
            ("CONCURRENCY", self.in_flight.to_string()),
        ]
    }

    /// The key that a hand-written loop keeps in Redis for an event.
    pub(crate) fn redis_key(&self, id: &str) -> String {
        format!("bench:{}:{id}", self.group)
    }
}

fn text(name: &str) -> Result<String> {
    env::var(name).map_err(|error| format!("{name}: {error}").into())
}

fn number<N: FromStr<Err: Display>>(name: &str, default: Option<N>) -> Result<N> {
    match (env::var(name), default) {
        (Err(env::VarError::NotPresent), Some(default)) => Ok(default),
        _ => {
            let text = text(name)?;
            text.parse().map_err(|error| format!("{name}={text}: {error}").into())
        }
    }
}

/// One run, as its program tells it in one line of JSON.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Score {
    pub(crate) peer: String,
    pub(crate) version: String,
    pub(crate) records: u64,
    pub(crate) effects: u64,
    pub(crate) duplicates: u64,
    /// From the first record handed to the handler's way to the last commit.
    pub(crate) seconds: f64,
    pub(crate) per_second: f64,
    /// From when a record was due to be sent to its effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) delay: Option<Delay>,
    /// How many commits there were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) commits: Option<u64>,
}

impl Score {
    pub(crate) fn new(peer: &str, version: &str, (effects, duplicates): (u64, u64), took: Duration) -> Self {
        let (records, seconds) = (effects + duplicates, took.as_secs_f64());
        let per_second = records as f64 / seconds;
        Self {
            peer: peer.to_owned(),
            version: version.to_owned(),
            records,
            effects,
            duplicates,
            seconds,
            per_second,
            delay: None,
            commits: None,
        }
    }
}
