//! The protocol of Redis (RESP 2), as far as the hot path speaks it: commands out, replies in. Pure.

/// Commands, ready to be sent.
#[derive(Debug, Default)]
pub(super) struct Commands {
    bytes: Vec<u8>,
    count: usize,
}

impl Commands {
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.count = 0;
    }

    /// How many replies will come.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Adds a command of any kind.
    pub(super) fn command(&mut self, words: &[&[u8]]) {
        self.begin(words.len());
        for word in words {
            self.word(word.len(), |bytes| bytes.extend_from_slice(word));
        }
    }

    /// Adds a command, piece by piece: so many words have to follow.
    pub(super) fn begin(&mut self, words: usize) {
        self.count += 1;
        self.bytes.push(b'*');
        self.number(words);
        self.bytes.extend_from_slice(b"\r\n");
    }

    /// Adds a command whose beginning has been written down before.
    pub(super) fn begin_with(&mut self, written: &[u8]) {
        self.count += 1;
        self.bytes.extend_from_slice(written);
    }

    /// Makes room for so many bytes to come.
    pub(super) fn reserve(&mut self, bytes: usize) {
        self.bytes.reserve(bytes);
    }

    /// Adds a word of so many bytes.
    pub(super) fn word(&mut self, length: usize, write: impl FnOnce(&mut Vec<u8>)) {
        self.bytes.push(b'$');
        self.number(length);
        self.bytes.extend_from_slice(b"\r\n");
        let before = self.bytes.len();
        write(&mut self.bytes);
        debug_assert_eq!(self.bytes.len() - before, length);
        self.bytes.extend_from_slice(b"\r\n");
    }

    /// Adds a word that is there already.
    pub(super) fn word_of(&mut self, word: &[u8]) {
        self.word(word.len(), |bytes| bytes.extend_from_slice(word));
    }

    /// Adds what has been written down before.
    pub(super) fn raw(&mut self, written: &[u8]) {
        self.bytes.extend_from_slice(written);
    }

    fn number(&mut self, number: usize) {
        self.bytes.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    }
}

/// Where a reply stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    kind: Kind,
    from: usize,
    to: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Nothing,
    Text,
    Error,
    /// An array with everything in it, as it came.
    Array,
}

/// One reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reply<'a> {
    Nothing,
    Text(&'a [u8]),
    Error(&'a [u8]),
    Array(Elements<'a>),
}

/// The elements of an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Elements<'a>(&'a [u8]);

impl<'a> Iterator for Elements<'a> {
    type Item = Reply<'a>;

    fn next(&mut self) -> Option<Reply<'a>> {
        let (span, end) = span(self.0, 0, DEEPEST).ok()??;
        let reply = span.of(self.0);
        self.0 = &self.0[end..];
        Some(reply)
    }
}

/// What cannot be a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// Replies, as they come in.
#[derive(Debug, Default)]
pub(super) struct Replies {
    bytes: Vec<u8>,
    read: usize,
    spans: Vec<Span>,
}

impl Replies {
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.spans.clear();
        self.read = 0;
    }

    /// Where what comes in is appended.
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Finds the replies in what has come in since; whether `wanted` are there, and nothing behind them.
    pub(super) fn take_in(&mut self, wanted: usize) -> Result<bool, Malformed> {
        while self.spans.len() < wanted {
            let Some((span, end)) = span(&self.bytes, self.read, DEEPEST)? else { return Ok(false) };
            self.spans.push(span);
            self.read = end;
        }
        if self.read == self.bytes.len() { Ok(true) } else { Err(Malformed) }
    }

    pub(super) fn all(&self) -> impl ExactSizeIterator<Item = Reply<'_>> + Clone {
        self.spans.iter().map(|span| span.of(&self.bytes))
    }

    /// The errors among them.
    pub(super) fn errors(&self) -> impl Iterator<Item = &[u8]> {
        let errors = self.spans.iter().filter(|span| span.kind == Kind::Error);
        errors.map(|span| &self.bytes[span.from..span.to])
    }
}

impl Span {
    fn of(self, bytes: &[u8]) -> Reply<'_> {
        let bytes = &bytes[self.from..self.to];
        match self.kind {
            Kind::Nothing => Reply::Nothing,
            Kind::Text => Reply::Text(bytes),
            Kind::Error => Reply::Error(bytes),
            Kind::Array => Reply::Array(Elements(bytes)),
        }
    }
}

/// Arrays in arrays that are read; nothing that we send is answered so.
const DEEPEST: usize = 4;

/// The reply that begins at `at`, and where the next one begins; `None` when there is more of it to come.
fn span(bytes: &[u8], at: usize, depth: usize) -> Result<Option<(Span, usize)>, Malformed> {
    let Some(kind) = bytes.get(at) else { return Ok(None) };
    let from = at + 1;
    let Some(line) = line_end(bytes, from)? else { return Ok(None) };
    let after = line + 2;
    let found = |kind, from, to, end| Ok(Some((Span { kind, from, to }, end)));
    match kind {
        b'$' => match number(&bytes[from..line])? {
            None => found(Kind::Nothing, after, after, after),
            Some(length) => {
                let to = after + length;
                match bytes.get(to..to + 2) {
                    Some(b"\r\n") => found(Kind::Text, after, to, to + 2),
                    Some(_) => Err(Malformed),
                    None => Ok(None),
                }
            }
        },
        b'+' | b':' => found(Kind::Text, from, line, after),
        b'-' => found(Kind::Error, from, line, after),
        b'*' => {
            let Some(elements) = number(&bytes[from..line])? else {
                return found(Kind::Nothing, after, after, after);
            };
            let depth = depth.checked_sub(1).ok_or(Malformed)?;
            let mut end = after;
            for _ in 0..elements {
                let Some((_, next)) = span(bytes, end, depth)? else { return Ok(None) };
                end = next;
            }
            found(Kind::Array, after, end, end)
        }
        _ => Err(Malformed),
    }
}

/// Where the line that begins at `from` ends; `None` when its end has not come yet.
fn line_end(bytes: &[u8], from: usize) -> Result<Option<usize>, Malformed> {
    let Some(length) = bytes[from..].iter().position(|byte| *byte == b'\r') else { return Ok(None) };
    match bytes.get(from + length + 1) {
        None => Ok(None),
        Some(b'\n') => Ok(Some(from + length)),
        Some(_) => Err(Malformed),
    }
}

/// `None` is -1. No reply is longer than what Redis holds in one value.
fn number(digits: &[u8]) -> Result<Option<usize>, Malformed> {
    if digits == b"-1" {
        return Ok(None);
    }
    if digits.is_empty() || digits.len() > 9 || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Malformed);
    }
    Ok(Some(digits.iter().fold(0, |number, digit| number * 10 + usize::from(digit - b'0'))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_written_as_the_server_reads_them() {
        let mut commands = Commands::default();
        commands.command(&[b"TIME"]);
        commands.begin_with(b"*3\r\n$3\r\nSET\r\n");
        commands.word(1, |bytes| bytes.extend_from_slice(b"k"));
        commands.raw(b"$1\r\nv\r\n");
        assert_eq!(commands.bytes(), b"*1\r\n$4\r\nTIME\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n");
        assert_eq!(commands.count(), 2);
    }

    const REPLIES: &[u8] =
        b"*2\r\n$2\r\n17\r\n$1\r\n5\r\n$-1\r\n$4\r\na\r\nb\r\n-OOM no room\r\n+OK\r\n:12\r\n*0\r\n$0\r\n\r\n";

    #[test]
    fn replies_are_read_in_whatever_pieces_they_come() {
        for piece in 1..=REPLIES.len() {
            let mut replies = Replies::default();
            let mut complete = false;
            for bytes in REPLIES.chunks(piece) {
                assert!(!complete);
                replies.buffer().extend_from_slice(bytes);
                complete = replies.take_in(8).unwrap();
            }
            assert!(complete, "in pieces of {piece}");
            let mut all = replies.all();
            let Some(Reply::Array(time)) = all.next() else { panic!("no array") };
            assert_eq!(time.collect::<Vec<_>>(), [Reply::Text(b"17"), Reply::Text(b"5")]);
            let nothing = Reply::Array(Elements(b""));
            let rest = [
                Reply::Nothing,
                Reply::Text(b"a\r\nb"),
                Reply::Error(b"OOM no room"),
                Reply::Text(b"OK"),
                Reply::Text(b"12"),
                nothing,
                Reply::Text(b""),
            ];
            assert_eq!(all.collect::<Vec<_>>(), rest);
            assert_eq!(replies.errors().collect::<Vec<_>>(), [b"OOM no room"]);
        }
    }

    #[test]
    fn what_is_no_reply_is_refused() {
        for bytes in [
            "x\r\n",
            "$x\r\n",
            "$-2\r\n",
            "$1\r\nabc",
            "+a\rb",
            "$9999999999\r\n",
            "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*0\r\n",
        ] {
            let mut replies = Replies::default();
            replies.buffer().extend_from_slice(bytes.as_bytes());
            assert_eq!(replies.take_in(1), Err(Malformed), "{bytes:?}");
        }
        // More than was asked for belongs to somebody else.
        let mut replies = Replies::default();
        replies.buffer().extend_from_slice(b"+OK\r\n+OK\r\n");
        assert_eq!(replies.take_in(1), Err(Malformed));
    }
}
