//! What the control topic says, taken together. Pure: it reads no clock.

use std::collections::BTreeMap;

use super::{
    said::{Pause, PodReport, Said, ServiceReport},
    scope::Scope,
};

/// Between two reports of a pod, in milliseconds.
pub(crate) const BEAT_MS: u64 = 10_000;
/// A pod that has not been heard of for so long is silent, in milliseconds.
const SILENT_MS: i64 = 30_000;
/// After so long it does not count any more: whoever runs it has noticed by then.
const GONE_MS: i64 = 120_000;
/// So long after its last report a record of it is taken out of the topic.
const FORGOTTEN_MS: i64 = 3_600_000;
/// More pods, or pauses, than this are nobody's fleet.
const MOST: usize = 10_000;

/// The state of all fleets that share a control topic.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct View {
    words: BTreeMap<Scope, Word>,
    pods: BTreeMap<String, Heard>,
}

/// The last word about a scope.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Word {
    /// Where it stands in the topic.
    pub(crate) offset: i64,
    /// Why it is paused, if it is.
    pub(crate) pause: Option<Pause>,
}

/// The last that was heard of a pod.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Heard {
    pub(crate) report: PodReport,
    /// By the broker's clock, in milliseconds since 1970.
    pub(crate) at_ms: i64,
}

/// A pod as it stands at some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    There,
    Silent,
    Gone,
}

impl Heard {
    pub(crate) fn presence(&self, now_ms: i64) -> Presence {
        match now_ms - self.at_ms {
            age if age <= SILENT_MS => Presence::There,
            age if age <= GONE_MS => Presence::Silent,
            _ => Presence::Gone,
        }
    }

    /// How it is with the service of a group.
    pub(crate) fn of(&self, group: &str) -> Option<&ServiceReport> {
        self.report.services.iter().find(|service| service.group == group)
    }
}

impl View {
    /// Takes what was said at this place and time.
    ///
    /// # Errors
    /// There are too many already.
    pub(crate) fn take(&mut self, said: Said, offset: i64, at_ms: i64) -> Result<(), String> {
        let is_full = match &said {
            Said::Paused(scope, _) | Said::Resumed(scope) => {
                self.words.len() >= MOST && !self.words.contains_key(scope)
            }
            Said::Pod(pod, _) => self.pods.len() >= MOST && !self.pods.contains_key(pod),
            Said::Left(_) => false,
        };
        if is_full {
            return Err(format!("there are {MOST} of its kind already"));
        }
        match said {
            Said::Paused(scope, pause) => {
                self.words.insert(scope, Word { offset, pause: Some(pause) });
            }
            Said::Resumed(scope) => {
                self.words.insert(scope, Word { offset, pause: None });
            }
            Said::Pod(pod, report) => {
                self.pods.insert(pod, Heard { report, at_ms });
            }
            Said::Left(pod) => {
                self.pods.remove(&pod);
            }
        }
        Ok(())
    }

    /// The last word about a scope.
    pub(crate) fn word(&self, scope: &Scope) -> Option<&Word> {
        self.words.get(scope)
    }

    /// What is paused of a group.
    pub(crate) fn paused<'a>(&'a self, group: &'a str) -> impl Iterator<Item = (&'a Scope, &'a Pause)> {
        let of_group = self.words.iter().filter(move |(scope, _)| scope.group == group);
        of_group.filter_map(|(scope, word)| Some((scope, word.pause.as_ref()?)))
    }

    /// The pods of a group that count at this time, by their names.
    pub(crate) fn pods<'a>(
        &'a self,
        group: &'a str,
        now_ms: i64,
    ) -> impl Iterator<Item = (&'a str, &'a Heard)> {
        let counts =
            move |heard: &Heard| heard.of(group).is_some() && heard.presence(now_ms) != Presence::Gone;
        self.pods.iter().filter(move |(_, heard)| counts(heard)).map(|(pod, heard)| (pod.as_str(), heard))
    }

    /// Pods of which nothing has been heard for so long that nobody asks for them any more.
    pub(crate) fn forgotten(&self, now_ms: i64) -> Vec<String> {
        let is_old = |heard: &Heard| now_ms - heard.at_ms > FORGOTTEN_MS;
        self.pods.iter().filter(|(_, heard)| is_old(heard)).map(|(pod, _)| pod.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn pause(id: &str) -> Pause {
        let text = str::to_owned;
        Pause { id: text(id), service: text("s"), who: text("w"), at: Timestamp::UNIX_EPOCH, reason: None }
    }

    fn pod(group: &str) -> PodReport {
        PodReport {
            host: "h".to_owned(),
            version: "0".to_owned(),
            started_at: Timestamp::UNIX_EPOCH,
            read_to: 0,
            services: vec![ServiceReport { group: group.to_owned(), ..ServiceReport::default() }],
        }
    }

    #[test]
    fn the_last_word_about_each_scope_counts() {
        let mut view = View::default();
        let said = [
            Said::Paused(Scope::of("a"), pause("1")),
            Said::Paused(Scope::of("b"), pause("2")),
            Said::Paused(Scope::of("a"), pause("3")),
            Said::Resumed(Scope::of("b")),
        ];
        for (offset, said) in (0..).zip(said) {
            view.take(said, offset, 0).unwrap();
        }
        let paused = |group| view.paused(group).map(|(_, pause)| pause.id.as_str()).collect::<Vec<_>>();
        assert_eq!((paused("a"), paused("b")), (vec!["3"], vec![]));
        let offset = |group| view.word(&Scope::of(group)).map(|word| word.offset);
        assert_eq!((offset("a"), offset("b"), offset("c")), (Some(2), Some(3), None));
    }

    #[test]
    fn dead_pods_do_not_count_for_ever() {
        let mut view = View::default();
        view.take(Said::Pod("x".to_owned(), pod("a")), 0, 1000).unwrap();
        let presence = |now| view.pods("a", now).map(|(_, heard)| heard.presence(now)).next();
        assert_eq!(presence(1000 + SILENT_MS), Some(Presence::There));
        assert_eq!(presence(1001 + SILENT_MS), Some(Presence::Silent));
        assert_eq!(presence(1000 + GONE_MS), Some(Presence::Silent));
        assert_eq!(presence(1001 + GONE_MS), None);
        assert_eq!(view.pods("b", 1000).count(), 0);
        assert_eq!(view.forgotten(1000 + FORGOTTEN_MS), [""; 0]);
        assert_eq!(view.forgotten(1001 + FORGOTTEN_MS), ["x"]);
    }

    #[test]
    fn a_pod_that_has_left_is_not_waited_for() {
        let mut view = View::default();
        view.take(Said::Pod("x".to_owned(), pod("a")), 0, 0).unwrap();
        view.take(Said::Left("x".to_owned()), 1, 0).unwrap();
        assert_eq!(view.pods("a", 0).count(), 0);
    }

    #[test]
    fn nobody_fills_the_memory() {
        let mut view = View::default();
        let mut take = |group: &str| view.take(Said::Paused(Scope::of(group), pause("1")), 0, 0);
        assert!((0..MOST).all(|number| take(&format!("g{number}")).is_ok()));
        assert!(take("more").is_err() && take("g7").is_ok());
    }
}
