//! The checker must be able to fail: a story in which all is well, and one change for each invariant.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{collections::BTreeMap, fs};

use super::checker::{Report, check};

/// Two events of one key: the first takes effect, the second is dead-lettered. All is committed.
const WELL: &[(&str, &str)] = &[
    ("producer", r#"{"at":1,"id":"a","place":["t",0,0]}"#),
    ("producer", r#"{"at":2,"id":"b","place":["t",0,1]}"#),
    ("producer", r#"{"at":2,"id":"nobody-knows","place":null}"#),
    ("kafka", r#"{"is":"record","place":["t",0,0],"id":"a","key":"k","digest":"A"}"#),
    ("kafka", r#"{"is":"record","place":["t",0,1],"id":"b","key":"k","digest":"B"}"#),
    ("kafka", r#"{"is":"partition","topic":"t","partition":0,"start":0,"end":2,"committed":2}"#),
    ("kafka", r#"{"is":"letter","place":["t",0,1],"digest":"B","disposition":"rejected"}"#),
    ("effects", r#"{"id":"a","attempt":1,"token":5,"pid":7}"#),
    ("evidence", r#"{"at":10,"happened":"assigned","topic":"t","partition":0,"offset":0,"epoch":1}"#),
    (
        "evidence",
        r#"{"at":11,"happened":"claimed","key":"ka","owner":"x.1.t.0.0","token":5,"outcome":"won"}"#,
    ),
    ("evidence", r#"{"at":12,"happened":"began","topic":"t","partition":0,"offset":0,"token":5}"#),
    (
        "evidence",
        r#"{"at":13,"happened":"returned","topic":"t","partition":0,"offset":0,"token":5,"outcome":"done"}"#,
    ),
    (
        "evidence",
        r#"{"at":14,"happened":"completed","key":"ka","owner":"x.1.t.0.0","token":5,"outcome":"done"}"#,
    ),
    (
        "evidence",
        r#"{"at":15,"happened":"settled","topic":"t","partition":0,"offset":0,"epoch":1,"outcome":"done"}"#,
    ),
    (
        "evidence",
        r#"{"at":16,"happened":"claimed","key":"kb","owner":"x.1.t.0.1","token":6,"outcome":"won"}"#,
    ),
    (
        "evidence",
        r#"{"at":17,"happened":"completed","key":"kb","owner":"x.1.t.0.1","token":6,"outcome":"dead"}"#,
    ),
    (
        "evidence",
        r#"{"at":18,"happened":"settled","topic":"t","partition":0,"offset":1,"epoch":1,"outcome":"dead_lettered"}"#,
    ),
    ("evidence", r#"{"at":19,"happened":"stored","topic":"t","partition":0,"offset":2,"epoch":1}"#),
    ("evidence", r#"{"at":20,"happened":"committed","topic":"t","partition":0,"offset":2,"epoch":1}"#),
];

type Lines = Vec<(String, String)>;

fn well() -> Lines {
    WELL.iter().map(|(file, line)| ((*file).to_owned(), (*line).to_owned())).collect()
}

/// Notes are given their worker, unless they name one, and their numbers.
fn judged(lines: &Lines) -> Report {
    let folder = tempfile::tempdir().unwrap();
    let (mut files, mut numbers) = (BTreeMap::<&str, String>::new(), BTreeMap::<u64, u64>::new());
    for (file, line) in lines {
        let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
        if file == "evidence" {
            let pid = line.get("pid").and_then(serde_json::Value::as_u64).unwrap_or(7);
            let number = numbers.entry(pid).or_default();
            line["pid"] = pid.into();
            line["worker"] = format!("w{pid}").into();
            line["sequence"] = (*number).into();
            *number += 1;
        }
        *files.entry(file).or_default() += &format!("{line}\n");
    }
    for (file, text) in files {
        fs::write(folder.path().join(format!("{file}.jsonl")), text).unwrap();
    }
    check(folder.path()).unwrap()
}

/// The story with these lines more.
fn with(more: &[(&str, &str)]) -> Report {
    let mut lines = well();
    lines.extend(more.iter().map(|(file, line)| ((*file).to_owned(), (*line).to_owned())));
    judged(&lines)
}

/// The story without the lines that hold this text.
fn without(text: &str) -> Report {
    let mut lines = well();
    let before = lines.len();
    lines.retain(|(_, line)| !line.contains(text));
    assert_ne!(lines.len(), before, "nothing holds {text}");
    judged(&lines)
}

#[test]
fn where_all_is_well_everything_is_held() {
    let report = judged(&well());
    assert_eq!((report.violated(), report.unknown()), (vec![], vec![]), "{report}");
}

#[test]
fn what_was_passed_over_is_lost() {
    let mut lines = well();
    lines
        .iter_mut()
        .for_each(|(_, line)| *line = line.replace(r#"{"id":"a","attempt""#, r#"{"id":"z","attempt""#));
    assert_eq!(judged(&lines).violated(), ["I1", "L1"]);
    assert_eq!(without(r#""is":"letter""#).violated(), ["I1", "I6", "L1"]);
}

#[test]
fn what_is_not_committed_is_left() {
    let mut lines = well();
    lines.iter_mut().for_each(|(_, line)| *line = line.replace(r#""committed":2"#, r#""committed":1"#));
    assert_eq!(judged(&lines).violated(), ["I2", "L1"]);
}

#[test]
fn an_acknowledged_record_that_is_not_in_the_log_is_lost_and_one_that_nobody_knows_of_is_not() {
    let more = ("producer", r#"{"at":2,"id":"c","place":["t",0,2]}"#);
    assert_eq!(with(&[more]).violated(), ["L1"]);
}

#[test]
fn offsets_are_not_committed_by_somebody_else_nor_backwards() {
    let heir = (
        "evidence",
        r#"{"at":30,"pid":8,"happened":"assigned","topic":"t","partition":0,"offset":2,"epoch":1}"#,
    );
    let stored =
        ("evidence", r#"{"at":31,"happened":"stored","topic":"t","partition":0,"offset":2,"epoch":1}"#);
    let committed =
        ("evidence", r#"{"at":32,"happened":"committed","topic":"t","partition":0,"offset":2,"epoch":1}"#);
    assert_eq!(with(&[heir]).violated(), [""; 0]);
    assert_eq!(with(&[heir, stored, committed]).violated(), ["I2"]);
    let back =
        ("evidence", r#"{"at":31,"happened":"stored","topic":"t","partition":0,"offset":1,"epoch":1}"#);
    assert_eq!(with(&[back]).violated(), ["I2"]);
}

#[test]
fn a_second_effect_needs_a_death_before_the_store_has_heard_of_the_first() {
    let again = ("effects", r#"{"id":"a","attempt":1,"token":9,"pid":8}"#);
    let death = ("faults", r#"{"at":15,"until":15,"what":"crash","pid":7}"#);
    assert_eq!(with(&[again]).violated(), ["I3"]);
    assert_eq!(with(&[again, death]).violated(), ["I3"], "the store had heard of it");
    let mut lines = well();
    lines.retain(|(_, line)| !line.contains(r#""happened":"completed","key":"ka""#));
    lines.extend([again, death].map(|(file, line)| (file.to_owned(), line.to_owned())));
    assert!(!judged(&lines).violated().contains(&"I3"));
}

#[test]
fn a_zombie_may_double_what_its_heir_has_done_and_nothing_else() {
    let late = ("effects", r#"{"id":"a","attempt":1,"token":3,"pid":8}"#);
    let heard = r#"{"at":40,"pid":8,"happened":"completed","key":"ka","owner":"y.1.t.0.0","token":3,"outcome":"already_finished"}"#;
    let frozen = ("faults", r#"{"at":5,"until":39,"what":"lease","pid":8}"#);
    assert_eq!(with(&[late, ("evidence", heard), frozen]).violated(), [""; 0]);
    assert_eq!(with(&[late, ("evidence", heard)]).violated(), ["I3"]);
    let once_more = ("effects", r#"{"id":"a","attempt":1,"token":9,"pid":7}"#);
    assert_eq!(with(&[late, ("evidence", heard), frozen, once_more]).violated(), ["I3"]);
}

#[test]
fn an_event_that_ends_twice_is_seen() {
    let again = r#"{"at":40,"pid":8,"happened":"completed","key":"ka","owner":"y.1.t.0.0","token":9,"outcome":"done"}"#;
    assert_eq!(with(&[("evidence", again)]).violated(), ["I4"]);
    let late = again.replace(r#""outcome":"done""#, r#""outcome":"already_finished""#);
    assert_eq!(with(&[("evidence", &late)]).violated(), [""; 0]);
}

#[test]
fn two_claims_at_once_are_seen_unless_the_first_may_have_lost_it() {
    let second =
        r#"{"at":12,"pid":8,"happened":"claimed","key":"ka","owner":"y.1.t.0.0","token":6,"outcome":"won"}"#;
    assert_eq!(with(&[("evidence", second)]).violated(), ["I5"]);
    let frozen = ("faults", r#"{"at":11,"until":12,"what":"lease","pid":7}"#);
    assert_eq!(with(&[("evidence", second), frozen]).violated(), [""; 0]);
    let older = second.replace(r#""token":6"#, r#""token":4"#);
    assert_eq!(with(&[("evidence", &older), frozen]).violated(), ["I5"], "tokens grow");
}

#[test]
fn too_many_letters_and_letters_that_differ_are_seen() {
    let again = r#"{"is":"letter","place":["t",0,1],"digest":"B","disposition":"rejected"}"#;
    assert_eq!(with(&[("kafka", again)]).violated(), ["I6"]);
    let death = ("faults", r#"{"at":15,"until":15,"what":"crash","pid":7}"#);
    assert_eq!(with(&[("kafka", again), death]).violated(), [""; 0]);
    let differs = again.replace(r#""B""#, r#""C""#);
    assert_eq!(with(&[("kafka", &differs), death]).violated(), ["I8"]);
    let nowhere = again.replace("[\"t\",0,1]", "[\"t\",0,9]");
    assert_eq!(with(&[("kafka", &nowhere)]).violated(), ["I8"]);
}

#[test]
fn a_key_out_of_order_is_seen() {
    let mut lines = well();
    lines.retain(|(_, line)| !line.contains(r#"{"id":"a","attempt""#));
    let effects = [("effects", r#"{"id":"b","attempt":1,"token":6,"pid":7}"#), ("effects", WELL[7].1)];
    lines.extend(effects.map(|(file, line)| (file.to_owned(), line.to_owned())));
    assert_eq!(judged(&lines).violated(), ["I7"]);
}

#[test]
fn a_stall_is_seen_unless_a_fault_explains_it() {
    let mut lines = well();
    for (_, line) in &mut lines {
        *line = line.replace(r#""at":18"#, r#""at":31000018"#);
    }
    assert_eq!(judged(&lines).violated(), ["L2"]);
    let outage = r#"{"at":20,"until":2000000,"what":"outage","pid":null}"#;
    lines.push(("faults".to_owned(), outage.to_owned()));
    assert_eq!(judged(&lines).violated(), [""; 0]);
}

#[test]
fn what_is_missing_is_unknown_and_not_well() {
    assert_eq!(without(r#""is""#).unknown(), ["I1", "I6", "I7", "I8", "L1"]);
    assert_eq!(without(r#""happened""#).unknown(), ["I2", "I4", "I5", "L2"]);
    assert_eq!(without(r#""attempt""#).unknown(), ["I1", "I3", "I7", "L1"]);
    // A note in the middle is lost: numbers have a gap.
    let folder = tempfile::tempdir().unwrap();
    let note = |sequence| {
        format!(
            r#"{{"worker":"w","pid":7,"sequence":{sequence},"at":1,"happened":"stored","topic":"t","partition":0,"offset":0,"epoch":1}}"#
        )
    };
    fs::write(folder.path().join("evidence.jsonl"), format!("{}\n{}\n", note(0), note(2))).unwrap();
    assert!(check(folder.path()).unwrap().unknown().contains(&"I2"));
    fs::write(folder.path().join("evidence.jsonl"), "no note\n").unwrap();
    assert!(check(folder.path()).unwrap_err().contains("evidence.jsonl:1"));
}
