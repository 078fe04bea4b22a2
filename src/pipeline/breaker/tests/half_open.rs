//! How the work begins again, and when it does not.

use super::*;

#[test]
fn a_probe_that_is_answered_lets_the_work_begin_little_by_little() {
    let mut tried = Tried::opened(seconds(0));
    assert_eq!(tried.breaker.begin(seconds(1)), Turn::Now);
    assert_eq!(tried.is_answered(seconds(1)), Some(Change::HalfOpened));
    let running = |tried: &mut Tried| (0..9).filter(|_| tried.breaker.begin(seconds(1)) == Turn::Now).count();
    assert_eq!(running(&mut tried), 2);
    assert_eq!(tried.is_answered(seconds(2)), None);
    assert_eq!(running(&mut tried), 2, "three at once");
    assert_eq!(tried.fails(3, seconds(2)), None, "one event may be beyond help");
    assert_eq!(tried.is_answered(seconds(2)), None);
    assert_eq!(tried.is_answered(seconds(2)), None);
    assert_eq!(tried.is_answered(seconds(2)), Some(Change::Closed));
}

/// One that a probe has half opened at this time.
fn half_opened(now: Duration) -> Tried {
    let mut tried = Tried::opened(now - SETTINGS.probe_every);
    assert_eq!(tried.begins_and_is_answered(now), Some(Change::HalfOpened));
    tried
}

#[test]
fn as_many_failures_as_it_would_stay_closed_with_do_not_keep_it_from_closing() {
    let mut tried = half_opened(seconds(1));
    let mut changes = Vec::new();
    // Two of three fail: of the answers that takes back half.
    for event in 0..6 {
        changes.extend(tried.begins_and_fails(event, seconds(2)));
        changes.extend(tried.begins_and_fails(event + 6, seconds(2)));
        changes.extend(tried.begins_and_is_answered(seconds(2)));
        if event == 4 {
            let mut begin = || tried.breaker.begin(seconds(2)) == Turn::Now;
            assert_eq!((0..9).filter(|_| begin()).count(), 4);
            let ticket = tried.breaker.ticket();
            for _ in 0..4 {
                tried.breaker.end(Some(ticket), Answer::Unused, None, tried.answers, seconds(2));
            }
        }
    }
    assert_eq!(changes, [Change::Closed]);
}

#[test]
fn many_failures_in_a_row_open_it_again_whatever_was_answered_before() {
    let mut tried = half_opened(seconds(1));
    (0..2).for_each(|_| assert_eq!(tried.begins_and_is_answered(seconds(1)), None));
    assert!((0..4).all(|event| tried.begins_and_fails(event, seconds(2)).is_none()));
    assert_eq!(tried.begins_and_fails(4, seconds(2)), Some(Change::Opened));
}

#[test]
fn half_open_what_goes_on_longer_counts_as_answered_too() {
    let mut tried = half_opened(seconds(1));
    (0..2).for_each(|_| assert_eq!(tried.begins_and_is_answered(seconds(1)), None));
    tried.begins(seconds(1));
    assert!((0..5).all(|event| tried.begins_and_fails(event, seconds(2)).is_none()));
    assert_eq!(tried.begins_and_fails(5, seconds(2)), Some(Change::Opened));
}

#[test]
fn half_open_the_one_that_fails_last_may_have_begun_first() {
    let mut tried = half_opened(seconds(1));
    (0..2).for_each(|_| assert_eq!(tried.begins_and_is_answered(seconds(1)), None));
    tried.begins(seconds(1));
    tried.begins(seconds(1));
    let early = tried.breaker.ticket();
    assert!((0..4).all(|event| tried.begins_and_fails(event, seconds(2)).is_none()));
    assert_eq!(tried.breaker.end(Some(early), ALONE, Some(4), tried.answers, seconds(2)), None);
    assert_eq!(tried.begins_and_fails(5, seconds(2)), Some(Change::Opened));
}

#[test]
fn what_began_before_and_fails_now_is_none_of_those_in_a_row() {
    let mut tried = half_opened(seconds(1));
    for event in 0..60 {
        let failed = Answer::Failed(Place { number: 60, noted: 60, ended: 0 });
        assert_eq!(tried.breaker.end(None, failed, Some(event), tried.answers, seconds(2)), None);
    }
    assert!((0..4).all(|event| tried.begins_and_fails(event, seconds(2)).is_none()));
    assert_eq!(tried.begins_and_fails(4, seconds(2)), Some(Change::Opened));
}

#[test]
fn it_opens_again_when_more_fails_than_is_answered() {
    let mut tried = half_opened(seconds(1));
    let few = [1, 2, 1, 2, 2, 1].map(|event| tried.begins_and_fails(event, seconds(2)));
    assert_eq!(few, [None; 6], "two events may be beyond help");
    assert!(!tried.breaker.excuses(seconds(2)), "and end as ever");
    assert_eq!(tried.begins_and_fails(3, seconds(2)), Some(Change::Opened));
    assert_eq!(tried.breaker.begin(seconds(2)), Turn::At(seconds(3)));
}
