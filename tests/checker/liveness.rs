//! L1 and L2: the end, and the way there.

use std::collections::BTreeMap;

use super::{
    Verdict,
    inputs::Place,
    known::{Known, PartitionEnd},
};

/// Microseconds.
const STALL: u64 = 30_000_000;

pub fn nothing_left(known: &Known<'_>) -> Verdict {
    let inputs = known.inputs;
    let (Some(producer), Some(_), Some(_)) = (&inputs.producer, &inputs.kafka, &inputs.effects) else {
        return Verdict::Unknown("no records of the producer, of Kafka, or no effects".to_owned());
    };
    let mut left: Vec<String> = known
        .partitions
        .iter()
        .filter(|(_, PartitionEnd { end, committed })| committed.unwrap_or(0) < *end)
        .map(|((topic, partition), PartitionEnd { end, committed })| {
            format!("{topic}/{partition} ends at {end}, committed is {committed:?}")
        })
        .collect();
    let cared_for = known.cared_for();
    // One that nobody has heard of may not be there at all.
    for sent in producer {
        let Some(place) = &sent.place else { continue };
        let is_cared_for = cared_for.contains(sent.id.as_str()) || known.is_cared_for(place);
        if !is_cared_for {
            left.push(format!("{place:?} ({}) was acknowledged and is lost", sent.id));
        }
    }
    Verdict::unless(left)
}

pub fn no_stall(known: &Known<'_>) -> Verdict {
    let (Some(producer), Some(notes)) = (&known.inputs.producer, &known.inputs.notes) else {
        return Verdict::Unknown("no records of the producer, or no notes of workers".to_owned());
    };
    let sent: BTreeMap<&Place, u64> =
        producer.iter().filter_map(|sent| Some((sent.place.as_ref()?, sent.at))).collect();
    // When each record was settled for the first time.
    let mut settled: BTreeMap<Place, u64> = BTreeMap::new();
    for note in notes.iter().filter(|note| note.happened == "settled") {
        if let Some(place) = note.place() {
            let at = settled.entry(place).or_insert(note.at);
            *at = note.at.min(*at);
        }
    }
    let mut by_partition: BTreeMap<(&str, i32), Vec<(u64, u64)>> = BTreeMap::new();
    for (place, settled) in &settled {
        if let Some(sent) = sent.get(place) {
            by_partition.entry((&place.0, place.1)).or_default().push((*settled, *sent));
        }
    }
    let mut stalls = Vec::new();
    for ((topic, partition), mut records) in by_partition {
        records.sort_unstable();
        // The first of what is sent and not settled yet, from the end on.
        let mut waits_since: Vec<u64> = records.iter().map(|(_, sent)| *sent).collect();
        for at in (1..waits_since.len()).rev() {
            waits_since[at - 1] = waits_since[at - 1].min(waits_since[at]);
        }
        for at in 0..records.len() {
            let now = records[at].0;
            let before = if at == 0 { 0 } else { records[at - 1].0 };
            let from = before.max(waits_since[at]);
            let faults = known.inputs.faults.iter().filter(|fault| fault.at < now && fault.until > from);
            let from = faults.map(|fault| fault.until).fold(from, u64::max);
            if now.saturating_sub(from) > STALL {
                stalls.push(format!("{topic}/{partition}: {} s without progress", (now - from) / 1_000_000));
            }
        }
    }
    Verdict::unless_or(stalls, known.gap())
}
