//! I4 and I5: what the store granted, and what it was told.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Verdict,
    inputs::{Inflicted, Note},
    known::Known,
};

fn shown(known: &Known<'_>, key: &str) -> String {
    known.ids.get(key).map_or_else(|| format!("key {key}"), |id| (*id).to_owned())
}

pub fn ended_once(known: &Known<'_>) -> Verdict {
    let mut ends: BTreeMap<&str, BTreeSet<(&str, u64)>> = BTreeMap::new();
    for note in known.notes.iter().filter(|note| note.happened == "completed") {
        let accepted = matches!(note.outcome.as_deref(), Some("done" | "dead" | "stolen" | "lost"));
        if let (true, Some(key), Some(token)) = (accepted, note.key.as_deref(), note.token) {
            ends.entry(key).or_default().insert((&note.worker, token));
        }
    }
    let allowed = 1 + known.store_losses();
    let twice = ends.iter().filter(|(_, ends)| ends.len() > allowed);
    let places = twice.map(|(key, ends)| format!("{}: ended by {ends:?}", shown(known, key))).collect();
    Verdict::unless_or(places, known.gap())
}

pub fn one_at_a_time(known: &Known<'_>) -> Verdict {
    let mut by_key: BTreeMap<&str, Vec<&Note>> = BTreeMap::new();
    for note in &known.notes {
        if let Some(key) = note.key.as_deref() {
            by_key.entry(key).or_default().push(note);
        }
    }
    let has_lost = known.store_losses() > 0;
    let mut wrong = Vec::new();
    for (key, notes) in &by_key {
        let mut held: Option<&Note> = None;
        for note in notes {
            let outcome = note.outcome.as_deref().unwrap_or_default();
            match &*note.happened {
                "claimed" if matches!(outcome, "won" | "taken_over" | "spent") => {
                    let before = held.replace(note);
                    let Some(before) = before.filter(|before| before.token != note.token) else { continue };
                    // Whoever has it may be dead, or may have lost it: then its lease could run out.
                    if !known.is_unreliable(before.pid) && !has_lost && !was_away(known, before.at, note.at) {
                        wrong.push(format!(
                            "{}: worker {} was granted token {:?} while worker {} had {:?}",
                            shown(known, key),
                            note.worker,
                            note.token,
                            before.worker,
                            before.token
                        ));
                    }
                    if note.token < before.token && !has_lost {
                        wrong.push(format!(
                            "{}: token {:?} after {:?}",
                            shown(known, key),
                            note.token,
                            before.token
                        ));
                    }
                }
                "completed" | "released" => {
                    // What another owner says of its own claim does not end this one.
                    held = held.filter(|held| (&held.worker, held.token) != (&note.worker, note.token));
                }
                _ => {}
            }
        }
    }
    Verdict::unless_or(wrong, known.gap())
}

/// Whether nobody could renew claims for some of that time.
fn was_away(known: &Known<'_>, from: u64, until: u64) -> bool {
    known.faults(Inflicted::Outage).any(|fault| fault.at < until && fault.until > from)
}
