//! What a note says, and to whom.

use proptest::prelude::*;

use super::*;

const HERE: Place<'static> = Place { topic_id: "dG9waWM", partition: 3, offset: 100 };
const FAR: i64 = i64::MAX;

fn finished(runs: &[(i64, i64)]) -> Finished {
    let mut finished = Finished::default();
    runs.iter().for_each(|(from, to)| finished.push(*from, *to));
    finished
}

#[test]
fn nothing_finished_is_no_text_and_no_text_is_nothing_finished() {
    assert_eq!(Finished::default().note(&HERE), "");
    assert_eq!(Finished::read("", &HERE, 0), Ok(Finished::default()));
}

#[test]
fn a_note_counts_only_where_it_was_written() {
    let some = finished(&[(101, 105), (110, 111)]);
    let note = some.note(&HERE);
    assert_eq!(Finished::read(&note, &HERE, 111), Ok(some));
    for elsewhere in [
        Place { topic_id: "dG9waWN", ..HERE },
        Place { topic_id: "", ..HERE },
        Place { partition: 4, ..HERE },
        Place { offset: 99, ..HERE },
        Place { offset: 101, ..HERE },
    ] {
        assert_eq!(Finished::read(&note, &elsewhere, FAR), Err(Unreadable::Elsewhere), "{elsewhere:?}");
    }
}

#[test]
fn what_lies_beyond_the_log_makes_the_whole_note_void() {
    let note = finished(&[(101, 105), (110, 111)]).note(&HERE);
    let void = Err(Unreadable::BeyondTheLog { named: 111, end: 110 });
    assert_eq!(Finished::read(&note, &HERE, 110), void);
}

#[test]
fn other_texts_and_other_versions_are_told_apart() {
    for foreign in ["consumer-1", "{\"host\":\"a\"}", "AQ", "äöü", &"A".repeat(5000)] {
        assert_eq!(Finished::read(foreign, &HERE, FAR), Err(Unreadable::Foreign), "{foreign}");
    }
    let mut bytes = STANDARD_NO_PAD.decode(finished(&[(101, 102)]).note(&HERE)).unwrap();
    bytes[0] = 2;
    let newer = STANDARD_NO_PAD.encode(bytes);
    assert_eq!(Finished::read(&newer, &HERE, FAR), Err(Unreadable::Version(2)));
}

#[test]
fn numbers_that_lead_nowhere_are_refused_even_with_a_true_seal() {
    let sealed = |runs: &[u8]| {
        let mut bytes = vec![VERSION];
        bytes.extend(seal(&HERE, runs));
        bytes.extend(runs);
        STANDARD_NO_PAD.encode(bytes)
    };
    for runs in [
        &[0, 0][..],
        &[1],
        &[0x80],
        &[0xff; 30],
        &[1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
    ] {
        assert_eq!(Finished::read(&sealed(runs), &HERE, FAR), Err(Unreadable::Foreign), "{runs:?}");
    }
}

#[test]
fn what_does_not_fit_is_left_out_from_the_far_end() {
    let runs: Vec<(i64, i64)> = (0..5000).map(|n| (1000 + n * 1000, 1900 + n * 1000)).collect();
    let note = finished(&runs).note(&HERE);
    assert!(note.len() <= 4000 && note.len() > 3900, "{}", note.len());
    let read = Finished::read(&note, &HERE, FAR).unwrap();
    assert!(read.runs.len() > 700, "{}", read.runs.len());
    assert_eq!(read.runs, runs[..read.runs.len()]);
}

prop_compose! {
    fn any_finished()(runs in prop::collection::vec((0_i64..5000, 1_i64..5000), 0..200)) -> Finished {
        let mut finished = Finished::default();
        let mut at = HERE.offset;
        for (gap, length) in runs {
            finished.push(at + gap, at + gap + length);
            at += gap + length;
        }
        finished
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(some in any_finished()) {
        prop_assert_eq!(Finished::read(&some.note(&HERE), &HERE, FAR), Ok(some));
    }

    #[test]
    fn one_changed_letter_makes_it_void(some in any_finished(), at: prop::sample::Index, letter in "[A-Za-z0-9+/=]") {
        let note = some.note(&HERE);
        prop_assume!(!note.is_empty());
        let at = at.index(note.len());
        let mut changed = note.clone();
        changed.replace_range(at..=at, &letter);
        prop_assume!(changed != note);
        prop_assert!(Finished::read(&changed, &HERE, FAR).is_err());
    }

    #[test]
    fn no_text_panics_or_is_believed(text in ".{1,300}") {
        prop_assert!(Finished::read(&text, &HERE, FAR).is_err());
    }

    #[test]
    fn an_offset_is_finished_if_a_run_has_it(some in any_finished(), offset in 0_i64..100_000) {
        let in_a_run = some.runs.iter().any(|(from, to)| (*from..*to).contains(&offset));
        prop_assert_eq!(some.contains(offset), in_a_run);
    }
}
