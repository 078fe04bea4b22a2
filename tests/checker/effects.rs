//! I3 and I7: how often and in which order events took effect.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{Verdict, known::Known};

/// An effect of a worker that died or lost its claims may be one too many, unless the store took its word for it under
/// that very claim; so may one whose attempt failed afterwards, and all once for each time that the store forgot
/// everything.
pub fn within_the_bound(known: &Known<'_>) -> Verdict {
    if known.inputs.effects.is_none() {
        return Verdict::Unknown("no effects".to_owned());
    }
    let heard_of: HashSet<(&str, u64, u32)> = known
        .notes
        .iter()
        .filter(|note| note.happened == "completed")
        .filter(|note| matches!(note.outcome.as_deref(), Some("done" | "dead" | "lost")))
        .filter_map(|note| Some((*known.ids.get(note.key.as_deref()?)?, note.token?, note.pid)))
        .collect();
    let mut failed: HashMap<&str, usize> = HashMap::new();
    for note in known.notes.iter().filter(|note| note.happened == "returned") {
        if !matches!(note.outcome.as_deref(), Some("done" | "skipped"))
            && let Some(id) = note.place().and_then(|place| known.records.get(&place)?.id)
        {
            *failed.entry(id).or_default() += 1;
        }
    }
    let mut beyond: Vec<String> = Vec::new();
    for (id, effects) in known.effects.iter().filter(|(_, effects)| effects.len() > 1) {
        let unheard_of = effects.iter().filter(|effect| {
            known.is_unreliable(effect.pid) && !heard_of.contains(&(*id, effect.token, effect.pid))
        });
        let failed = failed.get(id).copied().unwrap_or(0);
        let allowed = 1 + unheard_of.count() + failed + known.store_losses();
        if effects.len() > allowed {
            let by: Vec<_> = effects.iter().map(|effect| (effect.pid, effect.token)).collect();
            beyond.push(format!(
                "{id}: {} effects, {allowed} allowed; by process and token {by:?}",
                effects.len()
            ));
        }
    }
    beyond.sort();
    let gap = known.gap().filter(|_| known.effects.values().any(|effects| effects.len() > 1));
    Verdict::unless_or(beyond, gap)
}

/// Of events with one key and one record each, in one partition.
pub fn in_order(known: &Known<'_>) -> Verdict {
    let (Some(effects), Some(_)) = (&known.inputs.effects, &known.inputs.kafka) else {
        return Verdict::Unknown("no effects, or no records of Kafka".to_owned());
    };
    let mut first: HashMap<&str, usize> = HashMap::new();
    for (at, effect) in effects.iter().enumerate() {
        first.entry(&effect.id).or_insert(at);
    }
    let mut copies: HashMap<&str, usize> = HashMap::new();
    known.records.values().filter_map(|r| r.id).for_each(|id| *copies.entry(id).or_default() += 1);
    let mut last: BTreeMap<(&str, i32, &str), (usize, &str)> = BTreeMap::new();
    let mut wrong = Vec::new();
    for ((topic, partition, _), record) in &known.records {
        let (Some(id), Some(key)) = (record.id, record.key) else { continue };
        let (Some(at), Some(1)) = (first.get(id), copies.get(id)) else { continue };
        if let Some((before, other)) = last.insert((topic, *partition, key), (*at, id))
            && before > *at
        {
            wrong.push(format!("{topic}/{partition}, key {key}: {id} before {other}"));
        }
    }
    Verdict::unless(wrong)
}
