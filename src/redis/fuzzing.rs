//! What fuzzers call of this folder.

use super::{
    record, report,
    resp::{Malformed, Replies, Reply},
};

/// Replies that come at once are the same as those that come in pieces, and all of them can be walked through.
pub(crate) fn replies(bytes: &[u8]) {
    let Some((wanted, bytes)) = bytes.split_first() else { return };
    let wanted = usize::from(wanted % 4) + 1;
    let mut whole = Replies::default();
    whole.buffer().extend_from_slice(bytes);
    let answer = whole.take_in(wanted);
    whole.all().for_each(walk);
    assert!(whole.errors().count() <= whole.all().len());
    let mut pieces = Replies::default();
    let mut last = Ok(false);
    for piece in bytes.chunks(3) {
        pieces.buffer().extend_from_slice(piece);
        last = pieces.take_in(wanted);
        if last == Err(Malformed) {
            break;
        }
    }
    if answer == Ok(true) {
        assert_eq!(last, Ok(true));
        assert!(whole.all().eq(pieces.all()));
    } else if answer == Ok(false) {
        assert_eq!(last, Ok(false));
    }
}

fn walk(reply: Reply<'_>) {
    if let Reply::Array(elements) = reply {
        elements.for_each(walk);
    }
}

/// What stands under a key.
pub(crate) fn record(bytes: &[u8]) {
    if let record::Record::Open(open) = record::read(bytes) {
        assert!(open.owner.iter().all(u8::is_ascii_graphic), "{bytes:?}");
    }
}

/// What the server says of itself.
pub(crate) fn report(text: &str) {
    drop(report::read(text));
}
