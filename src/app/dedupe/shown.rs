//! One event as the store knows it, for people and for machines.

use std::time::Duration;

use jiff::{Timestamp, Unit};
use serde::Serialize;
use serde_json::{Value, json};

use super::Place;
use crate::store::{End, Inspected, KnownState};

/// What is printed, and in the audit topic stands for how it was before.
#[derive(Debug, Serialize)]
pub(super) struct Shown<'a> {
    service: &'a str,
    group: &'a str,
    handler: &'a str,
    key: &'a str,
    redis_key: String,
    #[serde(flatten)]
    stands: Stands,
}

/// How it stands. What does not apply is null.
#[derive(Debug, Default, Serialize)]
struct Stands {
    /// `unknown`, `claimed`, `abandoned` (the lease ran out), `waiting`, `free` (its delay is over), `done`, `dead`,
    /// `moved` (a copy is what counts), `foreign`.
    state: &'static str,
    /// The delivery that claimed it.
    owner: Option<String>,
    /// When the lease or the delay ends.
    until: Option<Timestamp>,
    attempts: Option<u32>,
    takeovers: Option<u32>,
    first_failure_at: Option<Timestamp>,
    fingerprint: Option<bool>,
    /// How often it had been sent on, to be tried later or again, when it was last claimed.
    hop: Option<u32>,
    /// When the store forgets it by itself.
    forgotten_at: Option<Timestamp>,
}

/// So long from now, to the millisecond: that is how exactly the store counts.
pub(super) fn from_now(left: Duration) -> Timestamp {
    let now = Timestamp::now();
    let then = now.saturating_add(left).unwrap_or(Timestamp::MAX);
    then.round(Unit::Millisecond).unwrap_or(then)
}

impl<'a> Shown<'a> {
    pub(super) fn of(place: &'a Place, inspected: &Inspected) -> Self {
        let Place { service, group, handler, key, redis_key, .. } = place;
        Self { service, group, handler, key, redis_key: redis_key.to_string(), stands: Stands::of(inspected) }
    }

    /// One line of JSON.
    pub(super) fn json(&self) -> String {
        json!(self).to_string()
    }

    /// One line of JSON about an attempt to let it be forgotten: what was known, and whether it is now.
    pub(super) fn forgotten(&self, went: &Result<(), String>) -> String {
        let mut value = json!(self);
        value["forgotten"] = went.is_ok().into();
        value["reason"] = went.as_ref().err().cloned().into();
        value.to_string()
    }

    /// How it stands, without the names.
    pub(super) fn before(&self) -> Value {
        json!(self.stands)
    }

    /// A name and a value to a line, without what does not apply.
    pub(super) fn text(&self) -> String {
        let Stands {
            state,
            owner,
            until,
            attempts,
            takeovers,
            first_failure_at,
            fingerprint,
            hop,
            forgotten_at,
        } = &self.stands;
        let time = |time: &Option<Timestamp>| time.map(|time| time.to_string());
        let number = |number: &Option<u32>| number.map(|number| number.to_string());
        let until = until.map(|until| format!(", until {until}")).unwrap_or_default();
        let lines = [
            ("event", Some(self.key.to_owned())),
            ("handler", Some(format!("{} of {}, group {}", self.handler, self.service, self.group))),
            ("state", Some(format!("{}{until}", explained(state)))),
            ("claimed by", owner.clone()),
            ("attempts", number(attempts)),
            ("taken over", number(takeovers)),
            ("first failure", time(first_failure_at)),
            ("fingerprint", fingerprint.map(|there| if there { "yes" } else { "no" }.to_owned())),
            ("sent on", number(&hop.filter(|hop| *hop > 0))),
            ("forgotten at", time(forgotten_at)),
            ("Redis key", Some(self.redis_key.clone())),
        ];
        let lines = lines.into_iter().filter_map(|(name, value)| Some(format!("{name:14} {}", value?)));
        lines.collect::<Vec<_>>().join("\n")
    }
}

impl Stands {
    fn of(inspected: &Inspected) -> Self {
        let known = match inspected {
            Inspected::Unknown => return Self { state: "unknown", ..Self::default() },
            Inspected::Foreign => return Self { state: "foreign", ..Self::default() },
            Inspected::Known(known) => known,
        };
        let (state, owner, left) = match &known.state {
            KnownState::Claimed { owner, left } if left.is_zero() => ("abandoned", Some(owner), None),
            KnownState::Claimed { owner, left } => ("claimed", Some(owner), Some(*left)),
            KnownState::Waiting { left } if left.is_zero() => ("free", None, None),
            KnownState::Waiting { left } => ("waiting", None, Some(*left)),
            KnownState::Ended(End::Done) => ("done", None, None),
            KnownState::Ended(End::Dead) => ("dead", None, None),
            KnownState::Ended(End::Moved) => ("moved", None, None),
        };
        Self {
            state,
            owner: owner.map(ToString::to_string),
            until: left.map(from_now),
            attempts: known.attempts,
            takeovers: known.takeovers,
            first_failure_at: known.first_failure_ms.and_then(|ms| Timestamp::from_millisecond(ms).ok()),
            fingerprint: Some(known.fingerprint.is_some()),
            hop: Some(known.hop),
            forgotten_at: known.remembered.map(from_now),
        }
    }
}

fn explained(state: &str) -> &str {
    match state {
        "unknown" => "unknown: never seen, or forgotten",
        "claimed" => "claimed: it is being worked on",
        "abandoned" => "abandoned: it was worked on when its lease ran out, and nobody has taken over yet",
        "waiting" => "waiting: it failed or was given back",
        "free" => "free: it failed or was given back, and is due",
        "done" => "done: it took effect, or was skipped",
        "dead" => "dead: it is in the dead-letter topic",
        "moved" => "moved: a copy of it waits to be tried again",
        _ => "foreign: its record was not written by this version",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Known, Stamp, StoreKey};

    fn place() -> Place {
        Place {
            service: "payments".into(),
            handler: "charge".into(),
            group: "prod-payments".into(),
            key: "order \"1\"".into(),
            redis_key: StoreKey::new("p", "g", "h", "k"),
            ledger: None,
        }
    }

    fn known(state: KnownState) -> Inspected {
        let remembered = Some(Duration::from_secs(60));
        Inspected::Known(Known {
            state,
            token: Some(7),
            attempts: Some(2),
            takeovers: None,
            first_failure_ms: Some(0),
            fingerprint: Some(5),
            hop: 0,
            remembered,
            stamp: Stamp("stamp".into()),
        })
    }

    #[test]
    fn people_read_what_applies_and_machines_read_every_field() {
        let place = place();
        let shown = Shown::of(&place, &known(KnownState::Ended(End::Done)));
        let text = shown.text();
        for line in [
            "event          order \"1\"",
            "handler        charge of payments, group prod-payments",
            "state          done: it took effect, or was skipped",
            "first failure  1970-01-01T00:00:00Z",
            "fingerprint    yes",
        ] {
            assert!(text.lines().any(|found| found == line), "{line:?} is missing in\n{text}");
        }
        assert!(!text.contains("claimed by") && !text.contains("taken over"), "{text}");
        let json: Value = serde_json::from_str(&shown.json()).unwrap();
        assert_eq!((&json["state"], &json["key"]), (&json!("done"), &json!("order \"1\"")));
        assert_eq!(
            (&json["owner"], &json["until"], &json["attempts"]),
            (&json!(null), &json!(null), &json!(2))
        );
    }

    #[test]
    fn leases_and_delays_that_are_over_have_names_of_their_own() {
        let place = place();
        let owner = "me.1.topic.0.1".parse::<crate::store::Owner>().unwrap();
        let left = Duration::from_secs(5);
        for (state, name, has_end) in [
            (KnownState::Claimed { owner: owner.clone(), left }, "claimed", true),
            (KnownState::Claimed { owner, left: Duration::ZERO }, "abandoned", false),
            (KnownState::Waiting { left }, "waiting", true),
            (KnownState::Waiting { left: Duration::ZERO }, "free", false),
        ] {
            let shown = Shown::of(&place, &known(state)).stands;
            assert_eq!((shown.state, shown.until.is_some()), (name, has_end));
        }
    }

    #[test]
    fn the_end_of_a_failed_attempt_to_forget_says_why() {
        let place = place();
        let shown = Shown::of(&place, &Inspected::Unknown);
        let json: Value = serde_json::from_str(&shown.forgotten(&Err("because".into()))).unwrap();
        assert_eq!((&json["forgotten"], &json["reason"]), (&json!(false), &json!("because")));
        let json: Value = serde_json::from_str(&shown.forgotten(&Ok(()))).unwrap();
        assert_eq!((&json["forgotten"], &json["reason"]), (&json!(true), &json!(null)));
    }
}
