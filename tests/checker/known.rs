//! The inputs, put in order: what belongs to a record, an event, a worker.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::inputs::{Effect, Fault, InKafka, Inflicted, Inputs, Note, Place};

/// A record of a log.
pub struct LogRecord<'a> {
    pub id: Option<&'a str>,
    pub key: Option<&'a str>,
    pub digest: &'a str,
}

/// A partition in the end.
pub struct PartitionEnd {
    pub end: i64,
    pub committed: Option<i64>,
}

/// Everything that the checks look at.
pub struct Known<'a> {
    pub inputs: &'a Inputs,
    pub records: BTreeMap<&'a Place, LogRecord<'a>>,
    pub partitions: BTreeMap<(&'a str, i32), PartitionEnd>,
    /// Digest and disposition of each letter, by the record it is about.
    pub letters: BTreeMap<&'a Place, Vec<(&'a str, &'a str)>>,
    pub effects: HashMap<&'a str, Vec<&'a Effect>>,
    /// Every note, in the order of their times; those of one worker in its own order.
    pub notes: Vec<&'a Note>,
    /// The event that a key of the store stands for.
    pub ids: HashMap<&'a str, &'a str>,
    /// What workers have settled, and how.
    pub settled: BTreeMap<Place, BTreeSet<&'a str>>,
}

impl<'a> Known<'a> {
    pub fn of(inputs: &'a Inputs) -> Known<'a> {
        let mut known = Known {
            inputs,
            records: BTreeMap::new(),
            partitions: BTreeMap::new(),
            letters: BTreeMap::new(),
            effects: HashMap::new(),
            notes: inputs.notes.iter().flatten().collect(),
            ids: HashMap::new(),
            settled: BTreeMap::new(),
        };
        known.notes.sort_by(|a, b| (a.at, &a.worker, a.sequence).cmp(&(b.at, &b.worker, b.sequence)));
        for line in inputs.kafka.iter().flatten() {
            known.add(line);
        }
        for effect in inputs.effects.iter().flatten() {
            known.effects.entry(&effect.id).or_default().push(effect);
        }
        for note in inputs.notes.iter().flatten() {
            if let (Some(key), Some(place)) = (&note.key, note.owner.as_deref().and_then(place_of))
                && let Some(LogRecord { id: Some(id), .. }) = known.records.get(&place)
            {
                known.ids.insert(key, id);
            }
            if let ("settled", Some(place), Some(how)) = (&*note.happened, note.place(), &note.outcome) {
                known.settled.entry(place).or_default().insert(how);
            }
        }
        known
    }

    fn add(&mut self, line: &'a InKafka) {
        match line {
            InKafka::Record { place, id, key, digest } => {
                let (id, key) = (id.as_deref(), key.as_deref());
                self.records.insert(place, LogRecord { id, key, digest });
            }
            InKafka::Partition { topic, partition, end, committed, .. } => {
                let (end, committed) = (*end, *committed);
                self.partitions.insert((topic, *partition), PartitionEnd { end, committed });
            }
            InKafka::Letter { place, digest, disposition } => {
                self.letters.entry(place).or_default().push((digest, disposition));
            }
        }
    }

    /// Ids that somebody took care of: an effect, a letter about one of its records, or a handler that skipped it.
    pub fn cared_for(&self) -> BTreeSet<&'a str> {
        let records = self.records.iter();
        let by_place = records.filter(|(place, _)| self.is_cared_for(place)).filter_map(|(_, r)| r.id);
        self.effects.keys().copied().chain(by_place).collect()
    }

    /// Whether this very record has a letter, or was skipped.
    pub fn is_cared_for(&self, place: &Place) -> bool {
        self.letters.contains_key(place) || self.settled.get(place).is_some_and(|how| how.contains("skipped"))
    }

    /// Faults of one kind.
    pub fn faults(&self, what: Inflicted) -> impl Iterator<Item = &'a Fault> {
        self.inputs.faults.iter().filter(move |fault| fault.what == what)
    }

    /// Whether this worker died, or was cut off from its claims for longer than a lease.
    pub fn is_unreliable(&self, pid: u32) -> bool {
        let faults = self.faults(Inflicted::Crash).chain(self.faults(Inflicted::Lease));
        faults.into_iter().any(|fault| fault.pid.is_none_or(|other| other == pid))
    }

    pub fn store_losses(&self) -> usize {
        self.faults(Inflicted::StoreLoss).count()
    }

    /// Why the notes do not tell everything: there are none, or some of a worker are missing between others.
    pub fn gap(&self) -> Option<String> {
        if self.inputs.notes.is_none() {
            return Some("no notes of workers".to_owned());
        }
        let mut workers: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for note in &self.notes {
            let (count, last) = workers.entry(&note.worker).or_default();
            *count += 1;
            *last = note.sequence.max(*last);
        }
        let lost = workers.iter().find(|(_, (count, last))| last + 1 != *count);
        lost.map(|(worker, (count, last))| {
            format!("of the notes of worker {worker} {} are missing", last + 1 - count)
        })
    }
}

impl Note {
    /// The record it is about, if it is about one.
    pub fn place(&self) -> Option<Place> {
        Some((self.topic.clone()?, self.partition?, self.offset?))
    }
}

/// The record that an owner's delivery was of: `process.assignment.topic.partition.offset`, the topic escaped.
fn place_of(owner: &str) -> Option<Place> {
    let mut parts = owner.rsplitn(3, '.');
    let (offset, partition) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let escaped = parts.next()?.splitn(3, '.').nth(2)?;
    let mut topic = Vec::new();
    let mut bytes = escaped.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'_' {
            let digits = [bytes.next()?, bytes.next()?];
            topic.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            topic.push(byte);
        }
    }
    Some((String::from_utf8(topic).ok()?, partition, offset))
}
