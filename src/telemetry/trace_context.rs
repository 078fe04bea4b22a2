//! The trace a record belongs to: the `traceparent` header of W3C Trace Context, version 00.

use std::fmt;
use std::num::{NonZeroU64, NonZeroU128};

/// The header's name.
pub const TRACEPARENT: &str = "traceparent";

/// Somebody records this trace.
const SAMPLED: u8 = 0b01;
/// The trace id is random; the one other flag that has a meaning.
const RANDOM: u8 = 0b10;

/// A trace, and the span within it that caused what happens now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceContext {
    trace_id: NonZeroU128,
    span_id: NonZeroU64,
    flags: u8,
}

impl TraceContext {
    /// The first span of a new trace, for a record that carries none.
    #[must_use]
    pub fn root() -> Self {
        Self { trace_id: rand::random(), span_id: rand::random(), flags: SAMPLED }
    }

    /// A span caused by this one: same trace, same flags, an id of its own.
    #[must_use]
    pub fn child(&self) -> Self {
        Self { span_id: rand::random(), ..*self }
    }

    /// Reads the last `traceparent` among a record's headers; `None` where there is none or it is not valid, which
    /// by the standard starts a new trace.
    pub fn from_headers<'a, N: AsRef<[u8]>>(
        headers: impl IntoIterator<Item = (N, Option<&'a [u8]>)>,
    ) -> Option<Self> {
        let is_ours = |name: &N| name.as_ref().eq_ignore_ascii_case(TRACEPARENT.as_bytes());
        let (_, value) = headers.into_iter().filter(|(name, _)| is_ours(name)).last()?;
        Self::parse(value?)
    }

    /// Reads a header's value. Versions after 00 are read as far as 00 goes, as the standard asks; 00 itself must
    /// have exactly its four fields, in lower case, and neither id may be zero.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let (fields, rest) = value.split_at_checked(55)?;
        let [version, trace_id, span_id, flags] = split_fields(fields)?;
        match (hex(version)?, rest) {
            (0, []) => {}
            (1..=0xfe, [] | [b'-', ..]) => {}
            _ => return None,
        }
        Some(Self {
            trace_id: NonZeroU128::new(hex(trace_id)?)?,
            span_id: NonZeroU64::new(hex(span_id)?.try_into().ok()?)?,
            // Bits without a meaning must not be handed on.
            flags: u8::try_from(hex(flags)?).ok()? & (SAMPLED | RANDOM),
        })
    }

    /// The header's value, always in version 00.
    #[must_use]
    pub fn to_header_value(&self) -> String {
        self.to_string()
    }

    /// The trace's id as 32 hexadecimal digits, for logs.
    #[must_use]
    pub fn trace_id(&self) -> String {
        format!("{:032x}", self.trace_id)
    }

    /// The span's id as 16 hexadecimal digits, for logs.
    #[must_use]
    pub fn span_id(&self) -> String {
        format!("{:016x}", self.span_id)
    }

    /// The same, recorded by somebody or by nobody.
    pub(crate) fn sampled(self, is_sampled: bool) -> Self {
        let flags = if is_sampled { self.flags | SAMPLED } else { self.flags & !SAMPLED };
        Self { flags, ..self }
    }

    pub(crate) fn trace_bits(&self) -> u128 {
        self.trace_id.get()
    }

    #[cfg(feature = "otlp")]
    pub(crate) fn span_bits(&self) -> u64 {
        self.span_id.get()
    }

    /// Whether somebody records this trace.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, self.flags)
    }
}

/// The four fields, when they have the lengths of version 00.
fn split_fields(text: &[u8]) -> Option<[&[u8]; 4]> {
    let mut fields = text.split(|byte| *byte == b'-');
    let fields = [fields.next()?, fields.next()?, fields.next()?, fields.next()?];
    (fields.map(<[u8]>::len) == [2, 32, 16, 2]).then_some(fields)
}

/// Lower-case digits only: the standard forbids the others, and so do other readers.
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number, byte| {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => return None,
        };
        Some((number << 4) | u128::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EXAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn parse(text: &str) -> Option<TraceContext> {
        TraceContext::parse(text.as_bytes())
    }

    #[test]
    fn the_standard_s_example_survives() {
        let context = parse(EXAMPLE).unwrap();
        assert_eq!(context.to_header_value(), EXAMPLE);
        assert_eq!(context.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(context.span_id(), "00f067aa0ba902b7");
        assert!(context.is_sampled());
        assert!(!parse(&EXAMPLE.replace("-01", "-00")).unwrap().is_sampled());
    }

    #[test]
    fn what_the_standard_forbids_is_not_read() {
        for wrong in [
            "",
            "00",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "0-04bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0x",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01more",
            " 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_later_version_is_read_as_version_00() {
        for later in [EXAMPLE.replacen("00", "01", 1), EXAMPLE.replacen("00", "cc", 1) + "-what-comes-later"]
        {
            assert_eq!(parse(&later), parse(EXAMPLE), "{later}");
        }
    }

    #[test]
    fn flags_without_a_meaning_are_not_handed_on() {
        let context = parse(&EXAMPLE.replace("-01", "-ff")).unwrap();
        assert!(context.to_header_value().ends_with("-03"));
    }

    #[test]
    fn the_last_header_counts_in_any_case_of_letters() {
        let value = Some(EXAMPLE.as_bytes());
        let from =
            |headers: &[(&str, Option<&'static [u8]>)]| TraceContext::from_headers(headers.iter().copied());
        assert_eq!(from(&[("content-type", Some(b"x")), ("TraceParent", value)]), parse(EXAMPLE));
        assert_eq!(from(&[("traceparent", Some(b"older")), ("traceparent", value)]), parse(EXAMPLE));
        assert_eq!(from(&[("traceparent", value), ("traceparent", None)]), None);
        assert_eq!(from(&[("tracestate", value)]), None);
        let bytes: [(&[u8], _); 1] = [(b"traceparent", value)];
        assert_eq!(TraceContext::from_headers(bytes), parse(EXAMPLE));
    }

    #[test]
    fn a_child_stays_in_the_trace_under_an_id_of_its_own() {
        let parent = TraceContext::root();
        let child = parent.child();
        assert_eq!(child.trace_id(), parent.trace_id());
        assert_ne!(child.span_id(), parent.span_id());
        assert_ne!(TraceContext::root().trace_id(), parent.trace_id());
        assert_eq!(parse(&child.to_header_value()), Some(child));
    }

    proptest! {
        #[test]
        fn any_bytes_are_either_refused_or_read_without_loss(bytes: Vec<u8>) {
            prop_assert!(TraceContext::parse(&bytes).is_none_or(|it| parse(&it.to_header_value()) == Some(it)));
        }

        #[test]
        fn near_misses_never_panic(text in "[0-9a-f-]{50,60}") {
            prop_assert!(parse(&text).is_none_or(|it| parse(&it.to_header_value()) == Some(it)));
        }
    }
}
