//! One input from others, by chance.

use rand::{Rng, rngs::StdRng, seq::IndexedRandom};

/// What decoders take notice of.
const WORDS: [&[u8]; 34] = [
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b":",
    b",",
    b"\\u0000",
    b"\\ud800",
    b"null",
    b"true",
    b"-0",
    b"1e999",
    b"0x",
    b"\n\n",
    b"\r\n",
    b"$-1\r\n",
    b"*-1\r\n",
    b"*4\r\n",
    b"$9223372036854775807\r\n",
    b"-9223372036854775808",
    b"18446744073709551615",
    b"\0",
    b"\xff",
    b"\xff\xff\xff\xff\x0f",
    b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
    b"\x0b",
    b"\xed\xa0\x80",
    b"ce_id: ",
    b"content-type: application/cloudevents+json\n",
    b"=",
    b"@@4111@@",
    b"\xe2\x80\xae",
    b"#",
];

/// One of the pool, changed at one to eight places.
pub(crate) fn mutated(pool: &[Vec<u8>], longest: usize, chance: &mut StdRng) -> Vec<u8> {
    let mut input = pool.choose(chance).cloned().unwrap_or_default();
    for _ in 0..chance.random_range(1..=8) {
        change(&mut input, pool, chance);
    }
    input.truncate(longest);
    input
}

fn change(input: &mut Vec<u8>, pool: &[Vec<u8>], chance: &mut StdRng) {
    let at = chance.random_range(0..=input.len());
    let to = chance.random_range(at..=input.len().min(at + 32));
    match chance.random_range(0..9) {
        0 => drop(input.drain(at..to)),
        1 => input.truncate(at),
        2 => input.insert(at, chance.random()),
        3 => input[at..to].iter_mut().for_each(|byte| *byte ^= 1 << chance.random_range(0..8)),
        4 => input[at..to].iter_mut().for_each(|byte| *byte = chance.random()),
        5 => {
            // Depth and length come of repeating.
            let part = input[at..to].repeat(1 << chance.random_range(0..9));
            input.splice(at..at, part);
        }
        6 => {
            let other = pool.choose(chance).map(Vec::as_slice).unwrap_or_default();
            let from = chance.random_range(0..=other.len());
            input.truncate(at);
            input.extend_from_slice(&other[from..]);
        }
        _ => {
            let word = WORDS.choose(chance).copied().unwrap_or_default();
            input.splice(at..to, word.iter().copied());
        }
    }
}
