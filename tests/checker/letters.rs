//! I6 and I8: dead letters.

use std::collections::{BTreeMap, BTreeSet};

use super::{Verdict, inputs::Inflicted, known::Known};

pub fn as_many_as_allowed(known: &Known<'_>) -> Verdict {
    if known.inputs.kafka.is_none() {
        return Verdict::Unknown("no letters of Kafka".to_owned());
    }
    let deaths = known.faults(Inflicted::Crash).chain(known.faults(Inflicted::Lease)).count();
    let allowed = 1 + deaths + known.faults(Inflicted::Outage).count();
    let mut wrong: Vec<String> = known
        .letters
        .iter()
        .filter(|(_, letters)| letters.len() > allowed)
        .map(|(place, letters)| format!("{place:?}: {} letters, {allowed} allowed", letters.len()))
        .collect();
    let with_letters: BTreeSet<&str> =
        known.letters.keys().filter_map(|place| known.records.get(*place)?.id).collect();
    let mut ends: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for note in known.notes.iter().filter(|note| note.happened == "completed") {
        if let (Some(id), Some(how)) = (note.key.as_deref().and_then(|key| known.ids.get(key)), &note.outcome)
        {
            ends.entry(id).or_default().insert(how);
        }
    }
    for (id, how) in ends {
        if how.contains("dead") && !with_letters.contains(id) {
            wrong.push(format!("{id}: dead, and there is no letter"));
        }
        if how.contains("dead") && how.contains("done") && known.store_losses() == 0 {
            wrong.push(format!("{id}: both done and dead"));
        }
    }
    Verdict::unless(wrong)
}

pub fn byte_for_byte(known: &Known<'_>) -> Verdict {
    if known.inputs.kafka.is_none() {
        return Verdict::Unknown("no letters of Kafka".to_owned());
    }
    let mut wrong = Vec::new();
    for (place, letters) in &known.letters {
        let Some(record) = known.records.get(*place) else {
            wrong.push(format!("{place:?}: a letter about a record that is not there"));
            continue;
        };
        for (digest, disposition) in letters {
            // Its value was left out on purpose.
            if *disposition != "too-large" && *digest != record.digest {
                wrong.push(format!("{place:?}: its letter differs"));
            }
        }
    }
    Verdict::unless(wrong)
}
