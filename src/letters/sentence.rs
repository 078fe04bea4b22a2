//! Makes the errors of one cause alike: whatever differs from record to record becomes a sign. Pure.

/// Enough to tell causes apart.
const LONGEST: usize = 200;
/// Stands for a word that holds a digit: a number, an id, an address, a time.
const NUMBER: char = '#';
/// Stands for what was quoted.
const QUOTED: char = '…';

/// The error with `#` for every word that holds a digit, and `"…"` for whatever is quoted.
pub(super) fn sentence(error: &str) -> String {
    let chars: Vec<char> = error.chars().collect();
    let (mut text, mut at) = (String::new(), 0);
    while let Some(c) = chars.get(at).copied() {
        if let Some(end) = quoted(&chars, at) {
            text.extend(['"', QUOTED, '"']);
            at = end;
        } else if is_of_a_word(c) {
            let end =
                chars[at..].iter().position(|c| !is_of_a_word(*c)).map_or(chars.len(), |length| at + length);
            // What ends a sentence is no part of its last word.
            let end = (at + 1..=end).rev().find(|end| !".:-/".contains(chars[*end - 1])).unwrap_or(at + 1);
            let word = &chars[at..end];
            if word.iter().any(char::is_ascii_digit) {
                text.push(NUMBER);
            } else {
                text.extend(word);
            }
            at = end;
        } else {
            text.push(c);
            at += 1;
        }
    }
    let mut short = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = short.char_indices().nth(LONGEST) {
        short.truncate(end);
        short.truncate(short.trim_end().len());
    }
    short
}

/// Words hold their dots, dashes and colons, so that an address or a time is one of them.
fn is_of_a_word(c: char) -> bool {
    c.is_alphanumeric() || "_.:-/#".contains(c)
}

/// Behind the end of what is quoted here. An apostrophe within a word opens nothing.
fn quoted(chars: &[char], at: usize) -> Option<usize> {
    let close = match chars[at] {
        open @ ('"' | '\'' | '`') => open,
        '“' => '”',
        '«' => '»',
        _ => return None,
    };
    if at > 0 && chars[at - 1].is_alphanumeric() {
        return None;
    }
    let ends =
        |end: &usize| chars[*end] == close && chars.get(*end + 1).is_none_or(|next| !next.is_alphanumeric());
    (at + 1..chars.len()).find(ends).map(|end| end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_from_record_to_record_is_left_out() {
        for (error, expected) in [
            ("the gateway is busy", "the gateway is busy"),
            ("order 4711 of user u-17 has no wallet", "order # of user # has no wallet"),
            ("no order 6f1c0a52-9d5e-4f0e-8c6f-2f3f5f0b7a11.", "no order #."),
            ("connect to 10.0.0.7:5432: timed out after 2.5s", "connect to #: timed out after #"),
            ("at 2026-01-31T08:00:00Z it broke", "at # it broke"),
            ("unknown field `colour` in \"order\"", "unknown field \"…\" in \"…\""),
            ("can't reach the user's bank 'north'", "can't reach the user's bank \"…\""),
            ("an 'open quote", "an 'open quote"),
            ("  a\n\tb  ", "a b"),
            ("GET /orders/17/lines failed", "GET # failed"),
            ("", ""),
        ] {
            assert_eq!(sentence(error), expected);
            assert_eq!(sentence(&sentence(error)), expected, "again");
        }
    }

    #[test]
    fn two_words_that_differ_in_no_digit_stay_apart() {
        assert_ne!(sentence("no such wallet"), sentence("no such order"));
    }

    #[test]
    fn it_is_short_whatever_it_is_about() {
        let long = sentence(&"wörter ".repeat(500));
        assert!(long.chars().count() <= LONGEST && long.ends_with("wört"), "{long}");
    }
}
