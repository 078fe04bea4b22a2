//! The records of a workload: the same arguments make the same records.

use std::collections::HashSet;

use clap::Args;
use rand::{Rng, SeedableRng, rngs::StdRng, seq::index};
use serde::{Deserialize, Serialize};

/// What lies in the topic before anybody begins.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub(crate) struct Workload {
    /// How many records.
    #[arg(long, default_value_t = 500_000)]
    pub(crate) records: usize,
    /// The share of records that repeat an earlier one.
    #[arg(long, default_value_t = 0.05)]
    pub(crate) duplicates: f64,
    #[arg(long, default_value_t = 4)]
    pub(crate) partitions: i32,
    /// How long a value is, about.
    #[arg(long, default_value_t = 300)]
    pub(crate) value_bytes: usize,
    /// How many different keys; a twentieth of the records if not given.
    #[arg(long)]
    pub(crate) keys: Option<usize>,
    /// The share of records that have one and the same key. Delays are those of the others.
    #[arg(long, default_value_t = 0.0)]
    pub(crate) hot_key: f64,
    /// The share of records without a key.
    #[arg(long, default_value_t = 0.0)]
    pub(crate) null_keys: f64,
    #[arg(long, default_value_t = 42)]
    pub(crate) seed: u64,
}

/// One record.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Made {
    pub(crate) key: Option<String>,
    pub(crate) value: Vec<u8>,
    /// It has the key that many have.
    pub(crate) is_hot: bool,
}

impl Made {
    /// With the time at which it was due to be sent.
    pub(crate) fn due(mut self, sent_us: u64) -> Self {
        self.value.pop();
        self.value.extend_from_slice(format!(r#","sent_us":{sent_us}}}"#).as_bytes());
        self
    }
}

const WORDS: &str = "gift wrap please leave with the neighbour ring twice fragile keep dry call before delivery \
    second floor no signature needed weekend drop off ask for the porter ";

impl Workload {
    /// How many records repeat an earlier one.
    pub(crate) fn repeats(&self) -> usize {
        ((self.records as f64 * self.duplicates).round() as usize).min(self.records.saturating_sub(1))
    }

    /// How many effects there must be.
    pub(crate) fn distinct(&self) -> usize {
        self.records - self.repeats()
    }

    /// All records, in their order. A repeat is an earlier record byte for byte, at a random later place.
    pub(crate) fn made(&self) -> impl Iterator<Item = Made> {
        let mut chance = StdRng::seed_from_u64(self.seed);
        let places = index::sample(&mut chance, self.records.saturating_sub(1), self.repeats());
        let repeats: HashSet<usize> = places.iter().map(|place| place + 1).collect();
        let mut distinct = 0;
        (0..self.records).map(move |place| {
            if repeats.contains(&place) {
                return self.record(chance.random_range(0..distinct));
            }
            distinct += 1;
            self.record(distinct - 1)
        })
    }

    /// A pure function of the number, so that nothing has to be kept for repeats.
    fn record(&self, number: usize) -> Made {
        let mut chance =
            StdRng::seed_from_u64(self.seed ^ (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let keys = self.keys.unwrap_or(self.records / 20).max(1);
        let is_hot = chance.random_bool(self.hot_key);
        let order = if is_hot { 0 } else { chance.random_range(0..keys) };
        let key = format!("ord-{order:07}");
        let is_null = chance.random_bool(self.null_keys);
        let mut value = format!(
            r#"{{"id":"evt-{:07}","order_id":"{key}","user_id":"usr-{:06}","amount_cents":{},"currency":"EUR","created_at":"2025-01-01T{:02}:{:02}:{:02}.{:03}Z","note":""#,
            number + 1,
            chance.random_range(0..keys.div_ceil(2)),
            chance.random_range(100..50_000),
            number / 3_600_000 % 24,
            number / 60_000 % 60,
            number / 1000 % 60,
            number % 1000,
        );
        let note = WORDS.chars().cycle().skip(chance.random_range(0..WORDS.len()));
        value.extend(note.take(self.value_bytes.saturating_sub(value.len() + 2)));
        value.push_str("\"}");
        Made { key: (!is_null).then_some(key), value: value.into_bytes(), is_hot }
    }
}
