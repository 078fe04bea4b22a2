//! Whether a partition stands still although records wait. What a handler, a retry, an outage or a full partition holds up
//! is explained; what nothing explains is a fault of this process, and a new one may do better.

use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;

use super::{
    assignment::{Name, Running},
    group::{Group, GroupConsumer},
};

/// How long Kafka may take to say where a log ends; the loop that polls waits for it.
const ANSWERS: Duration = Duration::from_millis(500);
/// Once records are known to wait, Kafka is asked so many times more before a partition counts as stuck. For the first time
/// it is asked when a partition has stood still for as long as it may: over a slow line an answer comes behind what is being
/// fetched, and one that is not waited for costs the connection, and with it all of that.
const QUESTIONS: u32 = 4;

/// What changes whenever a partition moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sight {
    /// The next offset to be taken in.
    pub(super) next: i64,
    pub(super) watermark: i64,
    pub(super) unsettled: usize,
    /// How far Kafka's client has fetched, if it has told since the partition moved.
    pub(super) fetched: Option<Fetched>,
}

/// What Kafka's client tells about a partition now and then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fetched {
    /// The next offset that it will fetch; negative while it fetches nothing.
    pub(super) next: i64,
    /// Records that it has ready.
    pub(super) ready: i64,
}

/// How long a partition has stood still.
#[derive(Debug, Default)]
pub(super) struct Stillness {
    last: Option<Sight>,
    /// Since when records have been known to wait.
    since: Option<Instant>,
    next_question: Option<Instant>,
    /// What the answer to the last question was.
    waiting: Option<String>,
    is_told: bool,
}

impl Stillness {
    /// Everything is as it should be. Whether that is news.
    fn moves(&mut self) -> bool {
        let was_told = self.is_told;
        *self = Self { last: self.last, ..Self::default() };
        was_told
    }

    /// It stands still for a reason. Whether that is news.
    fn is_explained(&mut self) -> bool {
        let next_question = self.next_question;
        let was_told = self.moves();
        self.next_question = next_question;
        was_told
    }

    /// Takes a look; whether anything has changed since the last one.
    fn look(&mut self, sight: Sight) -> bool {
        let seen = Sight { fetched: None, ..sight };
        let fetched = |sight: &Sight| sight.fetched.map_or(-1, |fetched| fetched.next);
        let changed = self
            .last
            .is_none_or(|last| Sight { fetched: None, ..last } != seen || fetched(&last) != fetched(&sight));
        self.last = Some(sight);
        changed
    }

    /// What waits, as far as it is known; `ask` answers where the log ends, or not at all.
    fn waiting(
        &mut self,
        sight: Sight,
        now: Instant,
        patience: Duration,
        ask: impl FnOnce() -> Option<i64>,
    ) -> Option<String> {
        let Sight { next, unsettled, fetched, .. } = sight;
        if unsettled > 0 {
            return Some(format!("{unsettled} records are taken in, and nobody works on them"));
        }
        // Without the client's word nobody knows whether more than the marks of transactions lies there.
        let fetched = fetched?;
        if fetched.ready > 0 {
            return Some(format!("{} records are fetched, and not taken in", fetched.ready));
        }
        if *self.next_question.get_or_insert(now + patience) <= now {
            let behind = |end: &i64| *end > next.max(fetched.next);
            self.waiting = ask().filter(behind).map(|end| {
                format!("the log goes on from {} to {end}, and nothing is fetched", next.max(fetched.next))
            });
            let pause = if self.waiting.is_some() { patience / QUESTIONS } else { patience };
            self.next_question = Some(now + pause);
        }
        self.waiting.clone()
    }

    /// For how long something has waited.
    fn since(&mut self, now: Instant) -> Duration {
        now - *self.since.get_or_insert(now)
    }
}

impl Group {
    /// Tells the probes of partitions that stand still for no reason.
    pub(super) fn look_for_stalls(&self, consumer: &GroupConsumer, now: Instant) {
        let Some(patience) = self.stall_after else { return };
        // Where one leader does not answer, others may not either, and the loop that polls waits for each.
        let mut answers = true;
        let is_explained = self.stop.is_cancelled() || self.service.status.store_is_down();
        for (name, running) in &mut self.assignment().running {
            let sight = running.sight();
            if running.stillness.last.is_some_and(|last| last.next != sight.next) {
                // What was ready then may be what was taken in.
                running.fetched = None;
            }
            let changed = running.stillness.look(sight);
            let is_explained = is_explained || running.partition.topic.hold.is_closed();
            if is_explained || changed || !running.is_fed() || running.partition.is_at_work() {
                self.moves(name, running);
                continue;
            }
            let ask = || {
                let answer =
                    answers.then(|| consumer.fetch_watermarks(&name.0, name.1, ANSWERS).ok()).flatten();
                answers = answer.is_some();
                answer.map(|(_, end)| end)
            };
            match running.stillness.waiting(sight, now, patience, ask) {
                Some(what) if running.stillness.since(now) >= patience => {
                    self.stands_still(name, running, &what, patience);
                }
                Some(_) => {}
                None if running.stillness.is_explained() => self.goes_on(name),
                None => {}
            }
            // However many there are to ask about, the loop turns.
            self.service.status.health.tick();
        }
    }

    fn moves(&self, name: &Name, running: &mut Running) {
        if running.stillness.moves() {
            self.goes_on(name);
        }
    }

    fn goes_on(&self, (topic, partition): &Name) {
        tracing::info!(%topic, partition, "moves again");
        self.service.status.health.moves(topic, *partition);
        self.service.status.health.resume(topic, *partition);
    }

    /// Said once.
    fn stands_still(&self, (topic, partition): &Name, running: &mut Running, what: &str, patience: Duration) {
        if !std::mem::replace(&mut running.stillness.is_told, true) {
            let patience = humantime::format_duration(patience);
            tracing::error!(%topic, partition, %what, %patience, "stands still although records wait");
            let health = &self.service.status.health;
            let why = format!("{what}, for more than {patience}");
            match &running.trouble {
                // A new process would meet it as well, and all other partitions would pay for the restart.
                Some(trouble) => health.pause(topic, *partition, format!("{why}: {trouble}")),
                None => health.stalled(topic, *partition, why),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(120);
    const IDLE: Sight =
        Sight { next: 10, watermark: 10, unsettled: 0, fetched: Some(Fetched { next: 10, ready: 0 }) };

    fn waiting(sight: Sight, end: Option<i64>) -> Option<String> {
        let (mut still, began) = (Stillness::default(), Instant::now());
        let at_first = still.waiting(sight, began, PATIENCE, || panic!("asked at once"));
        at_first.or_else(|| still.waiting(sight, began + PATIENCE, PATIENCE, || end))
    }

    #[test]
    fn an_empty_partition_and_one_that_nobody_can_ask_about_wait_for_nothing() {
        assert_eq!(waiting(IDLE, Some(10)), None);
        assert_eq!(waiting(IDLE, None), None);
        assert_eq!(waiting(Sight { fetched: None, ..IDLE }, Some(20)), None);
    }

    #[test]
    fn what_was_passed_over_because_it_is_no_record_does_not_wait() {
        let behind_a_mark = Sight { fetched: Some(Fetched { next: 12, ready: 0 }), ..IDLE };
        assert_eq!(waiting(behind_a_mark, Some(12)), None);
        assert!(waiting(behind_a_mark, Some(13)).is_some());
    }

    #[test]
    fn records_wait_in_the_log_in_the_client_and_here() {
        assert!(waiting(IDLE, Some(11)).unwrap().contains("from 10 to 11"));
        let ready = Sight { fetched: Some(Fetched { next: 15, ready: 5 }), ..IDLE };
        assert!(waiting(ready, None).unwrap().starts_with("5 records are fetched"));
        assert!(waiting(Sight { unsettled: 3, ..IDLE }, None).unwrap().starts_with("3 records are taken in"));
    }

    #[test]
    fn kafka_is_asked_now_and_then_and_one_that_does_not_answer_explains_all() {
        let (began, mut still, mut asked) = (Instant::now(), Stillness::default(), 0);
        let mut at = |seconds, end: Option<i64>| {
            let now = began + Duration::from_secs(seconds);
            still.waiting(IDLE, now, PATIENCE, || {
                asked += 1;
                end
            })
        };
        assert!((0..120).all(|second| at(second, Some(11)).is_none()), "not at once");
        assert!(at(120, Some(11)).is_some());
        assert!((121..150).all(|second| at(second, None).is_some()), "the last answer stands");
        assert_eq!(at(150, None), None);
        assert_eq!(asked, 2);
    }

    #[test]
    fn any_change_is_a_move_and_ends_what_was_told() {
        let mut still = Stillness::default();
        assert!(still.look(IDLE) && !still.look(IDLE));
        still.is_told = true;
        for moved in [
            Sight { next: 11, ..IDLE },
            Sight { watermark: 11, ..IDLE },
            Sight { unsettled: 1, ..IDLE },
            Sight { fetched: Some(Fetched { next: 11, ready: 0 }), ..IDLE },
        ] {
            assert!(still.look(moved), "{moved:?}");
        }
        assert!(still.moves() && !still.moves());
    }

    #[test]
    fn what_has_been_explained_is_not_asked_again_at_once() {
        let (began, mut still, mut asked) = (Instant::now(), Stillness::default(), 0);
        for second in 0..=240 {
            let now = began + Duration::from_secs(second);
            let waits = still.waiting(IDLE, now, PATIENCE, || {
                asked += 1;
                Some(10)
            });
            assert!(waits.is_none() && !still.is_explained());
        }
        assert_eq!(asked, 2);
    }
}
