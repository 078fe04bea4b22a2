//! Looks at a range that take longer than a request may: they go on, and are asked for by their name.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// What so many looks have found stays to be asked for.
const KEPT: usize = 20;

/// The looks of this process, by the names of what was asked for.
#[derive(Debug, Default)]
pub(super) struct Looks(Mutex<BTreeMap<String, Look>>);

#[derive(Debug)]
enum Look {
    At(CancellationToken),
    /// What was found, or why there is nothing.
    Over(Value),
}

impl Looks {
    pub(super) fn begin(&self, id: &str, cancel: &CancellationToken) {
        let mut looks = self.lock();
        while looks.len() >= KEPT
            && let Some(oldest) = looks.iter().find(|(_, look)| matches!(look, Look::Over(_)))
        {
            let oldest = oldest.0.clone();
            looks.remove(&oldest);
        }
        looks.insert(id.to_owned(), Look::At(cancel.clone()));
    }

    /// Nobody will ask: it was answered at once, or stands in the journal now.
    pub(super) fn forget(&self, id: &str) {
        self.lock().remove(id);
    }

    pub(super) fn end(&self, id: &str, found: Value) {
        self.lock().insert(id.to_owned(), Look::Over(found));
    }

    /// How each of them stands, the latest first.
    pub(super) fn all(&self) -> Vec<Value> {
        self.lock().iter().rev().map(|(id, look)| look.shown(id)).collect()
    }

    pub(super) fn find(&self, id: &str) -> Option<Value> {
        self.lock().get(id).map(|look| look.shown(id))
    }

    /// Ends one that is at it; whether there was one.
    pub(super) fn cancel(&self, id: &str) -> bool {
        let looks = self.lock();
        let Some(Look::At(cancel)) = looks.get(id) else { return false };
        cancel.cancel();
        true
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Look>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Look {
    fn shown(&self, id: &str) -> Value {
        match self {
            Self::At(_) => looking(id),
            Self::Over(found) => {
                let mut shown = found.clone();
                shown["id"] = id.into();
                shown
            }
        }
    }
}

/// What is known of a look that is not over.
pub(super) fn looking(id: &str) -> Value {
    json!({ "id": id, "state": "looking" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_stays_until_there_is_too_much_of_it() {
        let (looks, cancel) = (Looks::default(), CancellationToken::new());
        looks.begin("0", &cancel);
        assert_eq!(looks.find("0"), Some(json!({ "id": "0", "state": "looking" })));
        for id in 10..10 + KEPT {
            looks.begin(&id.to_string(), &cancel);
            looks.end(&id.to_string(), json!({ "state": "looked" }));
        }
        assert_eq!(looks.all().len(), KEPT);
        assert_eq!((looks.find("10"), looks.find("0").is_some()), (None, true), "the oldest that is over");
        assert!(!looks.cancel("11") && looks.cancel("0") && cancel.is_cancelled());
    }
}
