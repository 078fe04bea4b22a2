//! I1 and I2: what was committed.

use std::collections::{BTreeMap, HashMap};

use super::{
    Verdict,
    inputs::Note,
    known::{Known, PartitionEnd},
};

pub fn nothing_passed(known: &Known<'_>) -> Verdict {
    if known.inputs.kafka.is_none() || known.inputs.effects.is_none() {
        return Verdict::Unknown("no offsets of Kafka, or no effects".to_owned());
    }
    let cared_for = known.cared_for();
    let mut passed = Vec::new();
    for (place, record) in &known.records {
        let (topic, partition, offset) = place;
        let Some(PartitionEnd { committed: Some(committed), .. }) =
            known.partitions.get(&(topic.as_str(), *partition))
        else {
            continue;
        };
        let is_cared_for = record.id.is_some_and(|id| cared_for.contains(id)) || known.is_cared_for(place);
        if offset < committed && !is_cared_for {
            let id = record.id.unwrap_or("no event");
            passed.push(format!("{topic}/{partition}@{offset} ({id}) is below {committed}"));
        }
    }
    Verdict::unless(passed)
}

pub fn by_their_owner(known: &Known<'_>) -> Verdict {
    let mut wrong = Vec::new();
    // Who has a partition: the worker that was assigned it last, unless it is revoked.
    let mut owners: HashMap<(&str, i32), &Note> = HashMap::new();
    let mut stored: HashMap<(&str, &str, i32, u64), i64> = HashMap::new();
    let mut over: BTreeMap<(&str, &str, i32), u64> = BTreeMap::new();
    let mut greatest: HashMap<(&str, i32), i64> = HashMap::new();
    for note in &known.notes {
        let (Some(topic), Some(partition), Some(offset)) =
            (note.topic.as_deref(), note.partition, note.offset)
        else {
            continue;
        };
        let name = format!("{topic}/{partition}, worker {}", note.worker);
        let epoch = note.epoch.unwrap_or(0);
        match &*note.happened {
            "assigned" => {
                owners.insert((topic, partition), note);
            }
            "revoked" => {
                over.insert((&note.worker, topic, partition), epoch);
            }
            "stored" => {
                let before = stored.insert((&note.worker, topic, partition, epoch), offset);
                if let Some(before) = before.filter(|before| *before > offset) {
                    wrong.push(format!("{name}: {offset} after {before} in epoch {epoch}"));
                }
                if over.get(&(&*note.worker, topic, partition)).is_some_and(|over| *over >= epoch) {
                    wrong.push(format!("{name}: {offset} stored after epoch {epoch} was over"));
                }
            }
            "committed" => {
                let end = known.partitions.get(&(topic, partition)).map(|partition| partition.end);
                if let Some(end) = end.filter(|end| *end < offset) {
                    wrong.push(format!("{name}: {offset} committed, the log ends at {end}"));
                }
                let owner = owners.get(&(topic, partition)).filter(|owner| owner.worker != note.worker);
                // An answer may be noted late: what counts is when the offset was handed over.
                let handed_over = known.notes.iter().rev().find(|other| {
                    other.happened == "stored"
                        && (&other.worker, other.topic.as_deref(), other.partition, other.offset)
                            == (&note.worker, Some(topic), Some(partition), Some(offset))
                });
                if let (Some(owner), Some(handed_over)) = (owner, handed_over)
                    && handed_over.at > owner.at
                {
                    wrong.push(format!("{name}: {offset} committed; it is worker {}'s", owner.worker));
                }
                let greatest = greatest.entry((topic, partition)).or_insert(offset);
                *greatest = offset.max(*greatest);
            }
            _ => {}
        }
    }
    for ((topic, partition), greatest) in greatest {
        let committed = known.partitions.get(&(topic, partition)).and_then(|end| end.committed);
        if let Some(committed) = committed.filter(|committed| *committed < greatest) {
            wrong.push(format!("{topic}/{partition}: committed {committed}, and {greatest} before"));
        }
    }
    Verdict::unless_or(wrong, known.gap())
}
