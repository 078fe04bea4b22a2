mod half_open;

use proptest::prelude::*;

use super::*;

const SETTINGS: BreakerSettings = BreakerSettings {
    enabled: true,
    window: Duration::from_secs(10),
    minimum: 10,
    events: 3,
    percent: 80,
    probe_every: Duration::from_secs(1),
    probe_at_least_every: Duration::from_secs(5),
    recover: 4,
    patience: Duration::from_secs(3600),
};

/// It fails, and nothing else is under way.
const ALONE: Answer = Answer::Failed(Place { number: 0, noted: 0, ended: 0 });

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A breaker, and how many answers there were.
struct Tried {
    breaker: Breaker,
    answers: u64,
}

impl Tried {
    fn new() -> Self {
        Self { breaker: Breaker::new(SETTINGS), answers: 0 }
    }

    fn fails(&mut self, event: u128, now: Duration) -> Option<Change> {
        self.fails_before(0, event, now)
    }

    /// So many that began before it go on.
    fn fails_before(&mut self, others: u64, event: u128, now: Duration) -> Option<Change> {
        let ticket = Some(self.breaker.ticket());
        let place = Place { number: others, noted: others, ended: 0 };
        self.breaker.end(ticket, Answer::Failed(place), Some(event), self.answers, now)
    }

    fn is_answered(&mut self, now: Duration) -> Option<Change> {
        self.answers += 1;
        let ticket = Some(self.breaker.ticket());
        self.breaker.end(ticket, Answer::Answered, None, self.answers, now)
    }

    fn begins(&mut self, now: Duration) {
        assert_eq!(self.breaker.begin(now), Turn::Now);
    }

    fn begins_and_fails(&mut self, event: u128, now: Duration) -> Option<Change> {
        self.begins(now);
        self.fails(event, now)
    }

    fn begins_and_is_answered(&mut self, now: Duration) -> Option<Change> {
        self.begins(now);
        self.is_answered(now)
    }

    /// One that has opened at this time.
    fn opened(now: Duration) -> Self {
        let mut tried = Self::new();
        let changes: Vec<_> = (0..10).filter_map(|event| tried.fails(event, now)).collect();
        assert_eq!(changes, [Change::Opened]);
        tried
    }
}

#[test]
fn it_opens_when_enough_attempts_of_several_events_fail_in_its_window() {
    let mut tried = Tried::new();
    assert!((0..9).all(|event| tried.fails(event, seconds(1)).is_none()), "too few");
    assert_eq!(tried.fails(9, seconds(11)), None, "the first nine are too old");
    assert!((0..8).all(|event| tried.fails(event, seconds(12)).is_none()));
    assert_eq!(tried.fails(10, seconds(12)), Some(Change::Opened));
}

#[test]
fn two_events_that_fail_by_themselves_open_nothing_however_often_they_are_tried() {
    let mut tried = Tried::new();
    let before = tried.breaker.seen(0);
    assert!((0..1_000).all(|attempt| tried.fails(u128::from(attempt % 2), millis(attempt)).is_none()));
    assert_eq!(tried.breaker.spent(before, 0, seconds(2)), None);
    assert_eq!(tried.fails(2, seconds(60)), None, "too late to be a part of it");
    assert_eq!(tried.breaker.spent(before, 0, seconds(60)), Some(Change::Opened));
}

#[test]
fn what_is_answered_now_and_then_does_not_open_it() {
    let mut tried = Tried::new();
    for round in 0..1_000 {
        assert_eq!(tried.fails(round, Duration::from_millis(20) * round as u32), None);
        tried.is_answered(Duration::from_millis(20) * round as u32);
    }
}

#[test]
fn what_began_since_the_first_failure_and_goes_on_counts_as_answered_until_it_fails_too() {
    let mut tried = Tried::new();
    assert_eq!(tried.fails_before(7, 0, seconds(1)), None, "seven are another matter");
    assert!((1..39).all(|event| tried.fails_before(17, event, seconds(1)).is_none()), "39 of 49");
    assert_eq!(tried.fails_before(17, 39, seconds(1)), Some(Change::Opened), "40 of 50");
}

#[test]
fn what_was_under_way_when_the_first_one_failed_says_nothing_about_the_others() {
    let mut tried = Tried::new();
    assert!((0..9).all(|event| tried.fails_before(50, event, seconds(1)).is_none()));
    assert_eq!(tried.fails_before(50, 9, seconds(1)), Some(Change::Opened));
}

#[test]
fn what_goes_on_for_half_a_window_may_hang_and_counts_no_more() {
    let mut tried = Tried::new();
    assert!((0..15).all(|event| tried.fails_before(30 * event, event.into(), millis(5_999)).is_none()));
    assert_eq!(tried.fails_before(450, 15, millis(10_998)), None);
    assert_eq!(tried.fails_before(450, 16, millis(10_999)), Some(Change::Opened));
}

#[test]
fn an_event_is_spent_for_nothing_where_nobody_else_is_answered_either() {
    // So slow that the window never sees enough of them.
    let slow = || {
        let mut tried = Tried::new();
        tried.is_answered(seconds(0));
        let before = tried.breaker.seen(1);
        for round in 0..5 {
            (0..3).for_each(|event| assert_eq!(tried.fails(event, seconds(60 * round)), None));
        }
        (tried, before)
    };
    let (mut tried, before) = slow();
    assert_eq!(tried.breaker.spent(before, 2, seconds(301)), None, "somebody was answered");
    let midst = Seen { failures: 6, ..before };
    assert_eq!(tried.breaker.spent(midst, 1, seconds(301)), None, "what failed before it is another matter");
    assert_eq!(tried.breaker.spent(before, 1, seconds(301)), Some(Change::Opened));

    let (mut tried, before) = slow();
    tried.is_answered(seconds(302));
    tried.fails(1, seconds(303));
    assert_eq!(
        tried.breaker.spent(before, 2, seconds(303)),
        None,
        "somebody was answered in the midst of it"
    );
}

#[test]
fn while_it_is_open_one_probe_at_a_time_is_made_ever_more_rarely() {
    let mut tried = Tried::opened(seconds(0));
    assert_eq!(tried.breaker.begin(seconds(0)), Turn::At(seconds(1)));
    let mut probes = Vec::new();
    for now in (0..30).map(seconds) {
        if tried.breaker.begin(now) == Turn::Now {
            assert_eq!(tried.breaker.begin(now), Turn::Later, "one at a time");
            probes.push(now.as_secs());
            assert_eq!(tried.fails(1, now), None);
        }
    }
    assert_eq!(probes, [1, 3, 7, 12, 17, 22, 27]);
}

#[test]
fn a_probe_that_was_not_made_leaves_its_turn_to_the_next() {
    let mut tried = Tried::opened(seconds(0));
    assert_eq!(tried.breaker.begin(seconds(1)), Turn::Now);
    let ticket = Some(tried.breaker.ticket());
    assert_eq!(tried.breaker.end(ticket, Answer::Unused, None, 0, seconds(1)), None);
    assert_eq!(tried.breaker.begin(seconds(1)), Turn::Now);
}

#[test]
fn it_excuses_what_fails_while_it_is_open_and_not_for_ever() {
    let mut tried = Tried::opened(seconds(0));
    assert!(tried.breaker.excuses(seconds(3599)) && !tried.breaker.excuses(seconds(3600)));
    assert_eq!(tried.breaker.begin(seconds(1)), Turn::Now);
    tried.is_answered(seconds(1));
    assert!(!tried.breaker.excuses(seconds(1)));
}

/// An attempt that began before it opened, of an event that is one of the signs of an outage, or is not.
#[test]
fn what_began_before_counts_as_a_probe_if_its_event_has_failed_before() {
    let answered = |tried: &mut Tried, event| {
        tried.answers += 1;
        tried.breaker.end(None, Answer::Answered, event, tried.answers, seconds(1))
    };
    let mut tried = Tried::opened(seconds(0));
    assert_eq!(answered(&mut tried, None), None, "it may have asked before the outage began");
    assert_eq!(answered(&mut tried, Some(2)), None, "so may one whose failure is none of the last");
    assert_eq!(answered(&mut tried, Some(9)), Some(Change::HalfOpened));
    assert_eq!(tried.breaker.begin(seconds(1)), Turn::Now);
    assert_eq!(answered(&mut tried, Some(8)), None, "whose signs are gone");
}

/// Events that fail so often and are answered then, and two that nobody can handle.
struct Few {
    tried: Tried,
    /// The failures that each has left, unless it was answered.
    left: Vec<Option<u8>>,
    /// The attempts under way, with the state that they were counted in.
    running: Vec<Option<Option<Ticket>>>,
}

impl Few {
    fn begins(&mut self, event: usize, now: Duration) {
        let breaker = &mut self.tried.breaker;
        let may = self.left[event].is_some() && self.running[event].is_none();
        if may && breaker.begin(now) == Turn::Now {
            self.running[event] = Some((!breaker.is_closed()).then(|| breaker.ticket()));
        }
    }

    fn ends(&mut self, event: usize, now: Duration) {
        let Some(ticket) = self.running[event].take() else { return };
        let answer = match &mut self.left[event] {
            left @ Some(0) => {
                *left = None;
                self.tried.answers += 1;
                Answer::Answered
            }
            Some(u8::MAX) | None => ALONE,
            Some(left) => {
                *left -= 1;
                ALONE
            }
        };
        let (key, answers) = (Some(event as u128), self.tried.answers);
        self.tried.breaker.end(ticket, answer, key, answers, now);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_few_that_nobody_can_handle_are_never_left_behind_an_open_breaker(
        failures in prop::array::uniform3(1_u8..6),
        steps in prop::collection::vec((0_usize..5, 0_u64..300), 20..80)
    ) {
        let left: Vec<_> = failures.into_iter().chain([u8::MAX; 2]).map(Some).collect();
        let mut few = Few { tried: Tried::new(), running: vec![None; left.len()], left };
        let mut now = Duration::ZERO;
        for (event, pause) in steps {
            now += millis(pause);
            if few.running[event].is_some() { few.ends(event, now) } else { few.begins(event, now) }
        }
        // From here on whoever waits has its turn.
        for round in 0..600 {
            now += millis(700);
            (0..5).for_each(|event| few.ends(event, now));
            (0..5).for_each(|event| few.begins((round + event) % 5, now));
        }
        prop_assert_eq!(few.left.iter().flatten().count(), 2, "all others are answered");
        prop_assert!(few.tried.breaker.level() < 2, "the last two wait behind it");
    }

}

proptest! {
    #[test]
    fn whatever_happens_it_closes_when_all_is_answered_again(
        steps in prop::collection::vec((0_u8..5, 0_u128..4, 0_u64..2_000), 0..200)
    ) {
        let mut tried = Tried::new();
        let (mut now, mut running) = (Duration::ZERO, Vec::new());
        for (what, event, pause) in steps {
            now += Duration::from_millis(pause);
            match what {
                0..3 => if tried.breaker.begin(now) == Turn::Now {
                    running.push((tried.breaker.ticket(), event));
                },
                _ => if let Some((ticket, event)) = running.pop() {
                    let answer = [ALONE, Answer::Answered][usize::from(what) - 3];
                    tried.answers += u64::from(answer == Answer::Answered);
                    tried.breaker.end(Some(ticket), answer, Some(event), tried.answers, now);
                },
            }
        }
        for (ticket, _) in running {
            tried.breaker.end(Some(ticket), Answer::Unused, None, tried.answers, now);
        }
        for _ in 0..20 {
            now += SETTINGS.probe_at_least_every;
            prop_assert_eq!(tried.breaker.begin(now), Turn::Now);
            tried.is_answered(now);
        }
        prop_assert!(tried.breaker.is_closed());
    }
}
