//! What was sent.

use std::time::Duration;

use serde_json::json;

use super::{ProduceKind, ProduceRecipe};

/// Counts what the broker has acknowledged.
#[derive(Debug)]
pub(super) struct Summary<'a> {
    topic: &'a str,
    /// What the events are called.
    name: &'static str,
    recipe: ProduceRecipe,
    events: u64,
    duplicates: u64,
    poison: u64,
    pub(super) took: Duration,
    pub(super) interrupted: bool,
    pub(super) error: Option<String>,
}

impl<'a> Summary<'a> {
    pub(super) fn new(topic: &'a str, name: &'static str, recipe: ProduceRecipe) -> Self {
        let took = Duration::ZERO;
        Self {
            topic,
            name,
            recipe,
            events: 0,
            duplicates: 0,
            poison: 0,
            took,
            interrupted: false,
            error: None,
        }
    }

    pub(super) fn count(&mut self, kind: ProduceKind) {
        match kind {
            ProduceKind::Event => self.events += 1,
            ProduceKind::Duplicate => self.duplicates += 1,
            ProduceKind::Poison => self.poison += 1,
        }
    }

    pub(super) fn records(&self) -> u64 {
        self.events + self.duplicates + self.poison
    }

    /// A second.
    fn rate(&self) -> f64 {
        self.records() as f64 / self.took.as_secs_f64().max(0.001)
    }

    pub(super) fn text(&self) -> String {
        let Self { topic, name, events, duplicates, poison, took, recipe, .. } = self;
        let (records, seconds) = (self.records(), took.as_secs_f64());
        let mut text = format!(
            "{records} records: {events} {name}, {duplicates} duplicates, {poison} poison; {seconds:.1} s, {:.0}/s, to {topic} with seed {}",
            self.rate(),
            recipe.seed
        );
        if self.interrupted {
            text += &format!("\nStopped: these were acknowledged, of {}.", recipe.count);
        }
        if let Some(error) = &self.error {
            text += &format!(
                "\nFailed: these were acknowledged, of {}, and others may have arrived. {error}",
                recipe.count
            );
        }
        text
    }

    /// One line.
    pub(super) fn json(&self) -> String {
        json!({
            "topic": self.topic,
            "seed": self.recipe.seed,
            "requested": self.recipe.count,
            "records": self.records(),
            "events": self.events,
            "duplicates": self.duplicates,
            "poison": self.poison,
            "seconds": self.took.as_secs_f64(),
            "rate": self.rate(),
            "interrupted": self.interrupted,
            "error": self.error,
        })
        .to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary() -> Summary<'static> {
        let recipe = ProduceRecipe { count: 10, duplicates: 0.0, poison: 0.0, keys: None, seed: 7 };
        let mut summary = Summary::new("orders", "orders", recipe);
        let kinds = [ProduceKind::Event, ProduceKind::Event, ProduceKind::Duplicate, ProduceKind::Poison];
        kinds.into_iter().for_each(|kind| summary.count(kind));
        summary.took = Duration::from_secs(2);
        summary
    }

    #[test]
    fn people_read_one_line_and_why_it_ended_early() {
        let mut summary = summary();
        let line = "4 records: 2 orders, 1 duplicates, 1 poison; 2.0 s, 2/s, to orders with seed 7";
        assert_eq!(summary.text(), line);
        summary.interrupted = true;
        assert_eq!(summary.text(), format!("{line}\nStopped: these were acknowledged, of 10."));
    }

    #[test]
    fn machines_read_what_was_asked_for_and_what_came_about() {
        let mut summary = summary();
        summary.error = Some("gone".to_owned());
        let json: serde_json::Value = serde_json::from_str(&summary.json()).unwrap();
        assert_eq!(
            (&json["requested"], &json["records"], &json["events"]),
            (&10.into(), &4.into(), &2.into())
        );
        assert_eq!((&json["error"], &json["interrupted"]), (&"gone".into(), &false.into()));
    }
}
