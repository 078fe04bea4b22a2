//! The files of a folder of evidence, JSON lines all of them, about one consumer group. A file that is not there leaves
//! unknown what it would show.
//!
//! | file | one line for each |
//! |---|---|
//! | `producer.jsonl` | record that was sent: acknowledged, or unknown |
//! | `effects.jsonl` | effect, in their order, written outside of the workers |
//! | `evidence.jsonl` | note of a worker (`telemetry.evidence`) |
//! | `kafka.jsonl` | record, partition and dead letter, as Kafka has them in the end |
//! | `faults.jsonl` | fault that was inflicted |

use std::{fs, io::ErrorKind, path::Path};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Topic, partition, offset.
pub type Place = (String, i32, i64);

/// A record that was sent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Produced {
    /// Microseconds since 1970.
    pub at: u64,
    pub id: String,
    /// Where it is; `None` where nobody has heard whether it arrived.
    pub place: Option<Place>,
}

/// An effect.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Effect {
    pub id: String,
    pub attempt: u32,
    pub token: u64,
    pub pid: u32,
}

/// A note of a worker.
#[derive(Debug, Clone, Deserialize)]
pub struct Note {
    pub worker: String,
    pub pid: u32,
    pub sequence: u64,
    /// Microseconds since 1970.
    pub at: u64,
    pub happened: String,
    pub topic: Option<String>,
    pub partition: Option<i32>,
    pub offset: Option<i64>,
    pub epoch: Option<u64>,
    pub key: Option<String>,
    pub owner: Option<String>,
    pub token: Option<u64>,
    pub outcome: Option<String>,
}

/// What Kafka has.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum InKafka {
    Record {
        place: Place,
        /// The id in the event; `None` where it is no event.
        id: Option<String>,
        /// Records of one key are handled in order.
        key: Option<String>,
        /// Of key, value, time and headers.
        digest: String,
    },
    Partition {
        topic: String,
        partition: i32,
        start: i64,
        end: i64,
        committed: Option<i64>,
    },
    Letter {
        /// Of the record it is about.
        place: Place,
        /// As of a record, without the headers that were added.
        digest: String,
        disposition: String,
    },
}

/// A fault that was inflicted.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Fault {
    /// When it began, microseconds since 1970.
    pub at: u64,
    /// When it was over.
    pub until: u64,
    pub what: Inflicted,
    /// The worker it was inflicted on; `None` where it was all of them.
    pub pid: Option<u32>,
}

/// Kinds of faults, as far as the bound tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Inflicted {
    /// The process died.
    Crash,
    /// It stood still, or could not renew its claims, for longer than a lease.
    Lease,
    /// The store forgot everything.
    StoreLoss,
    /// Something was away, and came back as it was.
    Outage,
}

/// All of it. `None` where there is no such file.
#[derive(Debug, Default)]
pub struct Inputs {
    pub producer: Option<Vec<Produced>>,
    pub effects: Option<Vec<Effect>>,
    pub notes: Option<Vec<Note>>,
    pub kafka: Option<Vec<InKafka>>,
    pub faults: Vec<Fault>,
}

impl Inputs {
    pub fn read(folder: &Path) -> Result<Inputs, String> {
        Ok(Inputs {
            producer: lines(&folder.join("producer.jsonl"))?,
            effects: lines(&folder.join("effects.jsonl"))?,
            notes: lines(&folder.join("evidence.jsonl"))?,
            kafka: lines(&folder.join("kafka.jsonl"))?,
            faults: lines(&folder.join("faults.jsonl"))?.unwrap_or_default(),
        })
    }
}

fn lines<T: DeserializeOwned>(path: &Path) -> Result<Option<Vec<T>>, String> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("{}: {error}", path.display())),
    };
    let line = |(number, line): (usize, &str)| {
        serde_json::from_str(line).map_err(|error| format!("{}:{}: {error}", path.display(), number + 1))
    };
    text.lines().enumerate().map(line).collect::<Result<_, _>>().map(Some)
}
