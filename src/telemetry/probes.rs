//! What the probes answer: pure functions of a snapshot.

use std::fmt;
use std::time::Duration;

/// What is known about all services at one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// How old the last tick of a poll loop may be.
    pub stale_after: Duration,
    /// By name.
    pub services: Vec<ServiceSnapshot>,
}

/// What is known about one service at one moment.
#[derive(Debug, Clone, Default)]
pub struct ServiceSnapshot {
    /// The service's name.
    pub name: String,
    /// Time since the poll loop's last turn; `None` before the first and after the service has stopped.
    pub since_tick: Option<Duration>,
    /// The service has been in its group at least once.
    pub started: bool,
    /// The service is in its group now, with or without partitions.
    pub joined: bool,
    /// The service is draining or has stopped.
    pub stopping: bool,
    /// Why the dedupe store cannot be used.
    pub store_down: Option<String>,
    /// Why nothing begins yet: what operators have paused is not known.
    pub not_told: Option<String>,
    /// Partitions that wait for a person.
    pub paused: Vec<Paused>,
    /// Partitions that stand still although records wait for them.
    pub stalled: Vec<Paused>,
    /// What costs no readiness and is worth knowing.
    pub notes: Vec<String>,
}

/// A partition that does not go on: it waits for a person, or stands still.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paused {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// Why.
    pub reason: String,
}

/// A probe's answer: good, or every reason why not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// One line each; empty when all is well.
    pub reasons: Vec<String>,
    /// What is worth knowing all the same, one line each.
    pub notes: Vec<String>,
}

impl Answer {
    /// Whether the probe passes.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.reasons.is_empty()
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_ok() {
            writeln!(f, "ok")?;
        }
        self.reasons.iter().chain(&self.notes).try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl ServiceSnapshot {
    /// Whether `/readyz` has nothing to say about this service.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let mut is_ready = true;
        self.readiness(&mut |_| is_ready = false);
        is_ready
    }

    fn readiness(&self, say: &mut dyn FnMut(String)) {
        if self.stopping {
            return say("stopping".to_owned());
        }
        if let Some(reason) = &self.not_told {
            say(format!("nothing begins: {reason}"));
        }
        if !self.joined {
            say("not in its consumer group".to_owned());
        }
        if let Some(reason) = &self.store_down {
            say(format!("the dedupe store cannot be used: {reason}"));
        }
        for Paused { topic, partition, reason } in &self.paused {
            say(format!("partition {partition} of {topic} is paused: {reason}"));
        }
    }
}

impl Snapshot {
    /// Of one service alone.
    pub(crate) fn of(&self, service: &str) -> Self {
        let it = self.services.iter().filter(|known| known.name == service);
        Self { stale_after: self.stale_after, services: it.cloned().collect() }
    }

    /// `/livez`: every poll loop turns, and no partition stands still for no reason. Kafka and Redis have no say, since a
    /// restart repairs neither; nor has a service that has not begun to poll, which is what `/startupz` is for.
    #[must_use]
    pub fn livez(&self) -> Answer {
        self.answer(|service, say| {
            if let Some(since) = service.since_tick.filter(|since| *since > self.stale_after) {
                say(format!(
                    "the poll loop has not turned for {} s, allowed are {} s",
                    since.as_secs(),
                    self.stale_after.as_secs()
                ));
            }
            for Paused { topic, partition, reason } in &service.stalled {
                say(format!("partition {partition} of {topic} stands still: {reason}"));
            }
        })
    }

    /// `/readyz`: every service is in its group and can reach its store, and no partition waits for a person. What waits for
    /// others, as behind an open breaker, is said and costs nothing: no restart and no other pod would change it.
    #[must_use]
    pub fn readyz(&self) -> Answer {
        let note = |service: &ServiceSnapshot, note: &String| one_line(&format!("{}: {note}", service.name));
        let notes =
            self.services.iter().flat_map(|service| service.notes.iter().map(move |it| note(service, it)));
        Answer { notes: notes.collect(), ..self.once_registered(ServiceSnapshot::readiness) }
    }

    /// `/startupz`: every service has been in its group.
    #[must_use]
    pub fn startupz(&self) -> Answer {
        self.once_registered(|service, say| {
            if !service.started {
                say("has not joined its consumer group yet".to_owned());
            }
        })
    }

    fn once_registered(&self, check: impl Fn(&ServiceSnapshot, &mut dyn FnMut(String))) -> Answer {
        if self.services.is_empty() {
            let reasons = vec!["no service has been started yet".to_owned()];
            return Answer { reasons, notes: Vec::new() };
        }
        self.answer(check)
    }

    fn answer(&self, check: impl Fn(&ServiceSnapshot, &mut dyn FnMut(String))) -> Answer {
        let mut reasons = Vec::new();
        for service in &self.services {
            let mut say = |reason: String| reasons.push(one_line(&format!("{}: {reason}", service.name)));
            check(service, &mut say);
        }
        Answer { reasons, notes: Vec::new() }
    }
}

/// Reasons come from clients and brokers; a line break in one must not look like a second reason.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STALE_AFTER: Duration = Duration::from_secs(30);

    fn well() -> ServiceSnapshot {
        ServiceSnapshot {
            name: "payments".to_owned(),
            since_tick: Some(Duration::from_secs(1)),
            started: true,
            joined: true,
            ..ServiceSnapshot::default()
        }
    }

    fn of(service: ServiceSnapshot) -> Snapshot {
        let orders = ServiceSnapshot { name: "orders".to_owned(), ..well() };
        Snapshot { stale_after: STALE_AFTER, services: vec![orders, service] }
    }

    #[test]
    fn all_pass_when_all_is_well() {
        let snapshot = of(well());
        for answer in [snapshot.livez(), snapshot.readyz(), snapshot.startupz()] {
            assert!(answer.is_ok(), "{answer}");
            assert_eq!(answer.to_string(), "ok\n");
        }
    }

    #[test]
    fn liveness_looks_at_the_poll_loop_only() {
        let everything_else_down = ServiceSnapshot {
            joined: false,
            started: false,
            stopping: true,
            store_down: Some("refused".to_owned()),
            paused: vec![Paused { topic: "t".to_owned(), partition: 0, reason: "lost".to_owned() }],
            since_tick: Some(STALE_AFTER),
            ..well()
        };
        assert!(of(everything_else_down).livez().is_ok());
        assert!(of(ServiceSnapshot { since_tick: None, ..well() }).livez().is_ok());

        let stuck = of(ServiceSnapshot { since_tick: Some(Duration::from_secs(31)), ..well() });
        assert_eq!(
            stuck.livez().to_string(),
            "payments: the poll loop has not turned for 31 s, allowed are 30 s\n"
        );
    }

    #[test]
    fn readiness_names_every_reason_on_a_line_of_its_own() {
        let degraded = of(ServiceSnapshot {
            joined: false,
            store_down: Some("connection refused\r\norders: all is well".to_owned()),
            paused: vec![Paused {
                topic: "orders.created".to_owned(),
                partition: 3,
                reason: "its offset is lost".to_owned(),
            }],
            ..well()
        });
        assert_eq!(
            degraded.readyz().to_string(),
            "payments: not in its consumer group\n\
             payments: the dedupe store cannot be used: connection refused  orders: all is well\n\
             payments: partition 3 of orders.created is paused: its offset is lost\n"
        );
    }

    #[test]
    fn a_stopping_service_is_not_ready_but_stays_started() {
        let stopping = of(ServiceSnapshot { stopping: true, joined: false, ..well() });
        assert_eq!(stopping.readyz().to_string(), "payments: stopping\n");
        assert!(stopping.startupz().is_ok());
    }

    #[test]
    fn startup_waits_for_every_service_and_for_the_first_one() {
        let starting = of(ServiceSnapshot { started: false, ..well() });
        assert_eq!(starting.startupz().to_string(), "payments: has not joined its consumer group yet\n");

        let none = Snapshot::default();
        assert!(none.livez().is_ok());
        assert_eq!(none.startupz().to_string(), "no service has been started yet\n");
        assert_eq!(none.readyz(), none.startupz());
    }
}
