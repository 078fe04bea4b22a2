//! What is stuck and why, in sentences for whoever has just been woken. Pure: the same state says the same.

use std::time::Duration;

use serde::Serialize;

use super::{
    history::Point,
    service::{PartitionNow, ServiceNow},
};
use crate::telemetry::{Paused, ServiceSnapshot};

/// An event that waits longer than this is worth a sentence.
const LONG: f64 = 60.0;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Severity {
    /// Nothing goes on there until something changes.
    Error,
    /// It goes on, and somebody should look.
    Warning,
    /// Somebody wants it so.
    Notice,
}

/// One sentence about a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) severity: Severity,
    pub(super) text: String,
}

/// What is known beside the service's own numbers.
#[derive(Debug)]
pub(super) struct Around<'a> {
    pub(super) health: &'a ServiceSnapshot,
    /// How old the last turn of a poll loop may be.
    pub(super) stale_after: Duration,
    /// The service a minute ago, or when its process began.
    pub(super) before: &'a Point,
    /// The service now.
    pub(super) now: &'a Point,
}

/// Everything worth a sentence, the most important first.
pub(super) fn find(service: &ServiceNow, around: &Around<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut say = |severity, text: String| found.push(Finding { severity, text: one_line(&text) });
    let health = around.health;
    if health.stopping {
        say(Severity::Notice, "it stops: what runs may finish, and nothing new begins".to_owned());
    } else if !health.started {
        say(Severity::Warning, "it has not joined its consumer group yet".to_owned());
    } else if !health.joined {
        say(Severity::Error, "it is not in its consumer group, so no events come".to_owned());
    }
    if let Some(since) = health.since_tick.filter(|since| *since > around.stale_after) {
        say(Severity::Error, format!("its poll loop has not turned for {}", lasting(since.as_secs_f64())));
    }
    if let Some(reason) = &health.store_down {
        say(Severity::Error, format!("the dedupe store cannot be used, so nothing new begins: {reason}"));
    }
    for Paused { topic, partition, reason } in &health.paused {
        say(Severity::Error, format!("partition {partition} of {topic} waits for a person: {reason}"));
    }
    for Paused { topic, partition, reason } in &health.stalled {
        say(Severity::Error, format!("partition {partition} of {topic} stands still: {reason}"));
    }
    let is_told = |partition: &PartitionNow| {
        health.paused.iter().chain(&health.stalled).any(|told| is_of(told, partition))
    };
    for partition in service.partitions.iter().filter(|partition| !is_told(partition)) {
        if let Some(reason) = &partition.waits {
            let PartitionNow { topic, partition, .. } = partition;
            say(Severity::Warning, format!("nothing comes from partition {partition} of {topic}: {reason}"));
        }
    }
    if let Some((age, text)) = waiting(service, false, || why(service, around)) {
        let is_stuck = age > 5.0 * LONG;
        say(if is_stuck { Severity::Error } else { Severity::Warning }, text);
    }
    // However old, it is as somebody wants it.
    if let Some((_, text)) = waiting(service, true, || "it is paused".to_owned()) {
        say(Severity::Notice, text);
    }
    for handler in service.handlers.iter().filter(|handler| handler.breaker == Some("open")) {
        say(
            Severity::Warning,
            format!("the breaker of {} is open: what it calls does not answer", handler.name),
        );
    }
    if service.paused == Some(true) {
        say(Severity::Notice, "it is paused, in whole or in part, because somebody asked for it".to_owned());
    }
    let letters = around.now.work.dead_letters.saturating_sub(around.before.work.dead_letters);
    if letters > 0 {
        let events = if letters == 1 { "event was" } else { "events were" };
        say(Severity::Warning, format!("{letters} {events} dead-lettered in the last minute"));
    }
    found.sort_by_key(|finding| finding.severity);
    found
}

fn is_of(told: &Paused, partition: &PartitionNow) -> bool {
    told.topic == partition.topic && told.partition == partition.partition
}

/// What has waited the longest among what is paused, or among the others: for how long, and why.
fn waiting(service: &ServiceNow, is_paused: bool, why: impl FnOnce() -> String) -> Option<(f64, String)> {
    let age = |partition: &PartitionNow| partition.oldest_unsettled_seconds.unwrap_or_default();
    let is_late = |partition: &&PartitionNow| partition.paused == is_paused && age(partition) > LONG;
    let late = service.partitions.iter().filter(is_late);
    let others = late.clone().count().saturating_sub(1);
    let oldest = late.max_by(|a, b| age(a).total_cmp(&age(b)))?;
    let (PartitionNow { topic, partition, .. }, age) = (oldest, age(oldest));
    let others = match others {
        0 => String::new(),
        1 => " (and one more)".to_owned(),
        others => format!(" (and {others} more)"),
    };
    let lasting = lasting(age);
    Some((age, format!("partition {partition} of {topic}{others} has waited {lasting}: {}", why())))
}

/// The most likely reason why events wait.
fn why(service: &ServiceNow, around: &Around<'_>) -> String {
    let Around { health, before, now, .. } = around;
    if health.store_down.is_some() {
        return "the store is down".to_owned();
    }
    if let Some(handler) = service.handlers.iter().find(|handler| handler.breaker == Some("open")) {
        return format!("the breaker of {} is open", handler.name);
    }
    let has_grown = |component: &str| {
        let count = |point: &Point| point.faults.get(component).copied().unwrap_or_default();
        count(now) > count(before)
    };
    for (component, words) in [
        ("dead_letter", "a dead letter cannot be written"),
        ("retry_topic", "a retry copy cannot be written"),
        ("publish", "events out cannot be sent"),
        ("ledger", "the ledger takes nothing"),
        ("kafka", "there is trouble with Kafka"),
        ("store", "there is trouble with the store"),
    ] {
        if has_grown(component) {
            return words.to_owned();
        }
    }
    let failing = now.handlers.iter().filter_map(|(name, now)| {
        let before = before.handlers.get(name).copied().unwrap_or_default();
        let retries = now.retries.saturating_sub(before.retries);
        (retries > 0).then_some((retries, now.attempts.saturating_sub(before.attempts), &name.1))
    });
    if let Some((retries, attempts, handler)) = failing.max_by_key(|(retries, ..)| *retries) {
        return format!("{handler} fails, {retries} of {attempts} attempts in the last minute");
    }
    if now.work.settled == before.work.settled {
        return "nothing was finished in the last minute; a handler takes long, or its event waits for its retry"
            .to_owned();
    }
    "events come faster than they are finished".to_owned()
}

/// A time in the words of people.
fn lasting(seconds: f64) -> String {
    let seconds = Duration::try_from_secs_f64(seconds).unwrap_or_default().as_secs();
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7199 => format!("{minutes} min"),
        7200..=172_799 => format!("{hours} h {} min", minutes % 60),
        _ => format!("{} days", hours / 24),
    }
}

/// Reasons come from clients and brokers.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::overview::{history::Work, service::HandlerNow};

    fn well() -> ServiceSnapshot {
        ServiceSnapshot { started: true, joined: true, ..ServiceSnapshot::default() }
    }

    fn waiting_for(seconds: f64) -> ServiceNow {
        let partition = |number: i32, age| PartitionNow {
            topic: "orders".to_owned(),
            partition: number,
            oldest_unsettled_seconds: Some(age),
            ..PartitionNow::default()
        };
        let partitions = vec![partition(1, 0.0), partition(3, seconds), partition(4, seconds / 2.0)];
        ServiceNow { oldest_unsettled_seconds: Some(seconds), partitions, ..ServiceNow::default() }
    }

    fn said(service: &ServiceNow, health: &ServiceSnapshot, now: &Point) -> Vec<String> {
        let (stale_after, before) = (Duration::from_secs(30), &Point::default());
        let found = find(service, &Around { health, stale_after, before, now });
        found.into_iter().map(|finding| format!("{:?}: {}", finding.severity, finding.text)).collect()
    }

    #[test]
    fn where_all_is_well_nothing_is_said() {
        assert_eq!(said(&waiting_for(59.0), &well(), &Point::default()), [""; 0]);
    }

    #[test]
    fn what_waits_is_told_with_the_most_likely_reason() {
        let late = waiting_for(250.0);
        let told = |service: &ServiceNow, now: &Point| said(service, &well(), now).swap_remove(0);
        let start = "Warning: partition 3 of orders (and one more) has waited 4 min: ";
        let idle = told(&late, &Point::default());
        assert!(idle.starts_with(&format!("{start}nothing was finished in the last minute")), "{idle}");

        let work = Work { settled: 9, attempts: 20, retries: 11, ..Work::default() };
        let busy = Point { work, ..Point::default() };
        assert_eq!(told(&late, &busy), format!("{start}events come faster than they are finished"));
        let handlers = [(("orders".to_owned(), "charge".to_owned()), work)].into();
        let failing = Point { handlers, ..busy.clone() };
        assert_eq!(
            told(&late, &failing),
            format!("{start}charge fails, 11 of 20 attempts in the last minute")
        );
        let refused = Point { faults: [("dead_letter".to_owned(), 1)].into(), ..failing.clone() };
        assert_eq!(told(&late, &refused), format!("{start}a dead letter cannot be written"));
        let charge = HandlerNow { name: "charge".to_owned(), breaker: Some("open"), ..HandlerNow::default() };
        let broken = ServiceNow { handlers: vec![charge], ..late.clone() };
        assert_eq!(told(&broken, &refused), format!("{start}the breaker of charge is open"));
        // What somebody has paused is told apart, and keeps quiet about nothing else.
        let mut paused = ServiceNow { paused: Some(true), ..late.clone() };
        paused.partitions[1].paused = true;
        assert_eq!(
            said(&paused, &well(), &busy)[..2],
            [
                "Warning: partition 4 of orders has waited 2 min: events come faster than they are finished",
                "Notice: partition 3 of orders has waited 4 min: it is paused",
            ]
        );

        let down = ServiceSnapshot { store_down: Some("refused\nHTTP".to_owned()), ..well() };
        assert_eq!(
            said(&waiting_for(301.0), &down, &failing),
            [
                "Error: the dedupe store cannot be used, so nothing new begins: refused HTTP",
                "Error: partition 3 of orders (and one more) has waited 5 min: the store is down",
            ]
        );
    }

    #[test]
    fn what_needs_a_person_comes_before_what_somebody_wants() {
        let paused =
            Paused { topic: "orders".to_owned(), partition: 1, reason: "its offset is lost".to_owned() };
        let mut service = ServiceNow { paused: Some(true), ..waiting_for(0.0) };
        service.partitions[0].waits = Some("its offset is lost".to_owned());
        service.partitions[1].waits = Some("a broken batch".to_owned());
        let health = ServiceSnapshot { paused: vec![paused], stopping: true, ..well() };
        let letters = Work { dead_letters: 1, ..Work::default() };
        assert_eq!(
            said(&service, &health, &Point { work: letters, ..Point::default() }),
            [
                "Error: partition 1 of orders waits for a person: its offset is lost",
                "Warning: nothing comes from partition 3 of orders: a broken batch",
                "Warning: 1 event was dead-lettered in the last minute",
                "Notice: it stops: what runs may finish, and nothing new begins",
                "Notice: it is paused, in whole or in part, because somebody asked for it",
            ]
        );
    }

    #[test]
    fn times_are_told_as_people_tell_them() {
        let told: Vec<_> = [0.4, 119.0, 120.0, 7300.0, 400_000.0].map(lasting).into();
        assert_eq!(told, ["0 s", "119 s", "2 min", "2 h 1 min", "4 days"]);
    }
}
