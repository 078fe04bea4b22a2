//! The headers of Spring Kafka's dead letters, beside ours, for consoles that read those. Its numbers are binary.

use super::{dead_letter::HEADER_PREFIX, produce::NewRecord};
use crate::Header;

/// What Spring's headers begin with.
pub(crate) const SPRING_PREFIX: &str = "kafka_dlt-";

/// Says in Spring's words what the letter says in ours. They stand behind ours, so that whoever sends the record again
/// can tell them from headers of the same names that it came with.
pub(super) fn add_headers(letter: &mut NewRecord) {
    let ours = |name: &str| {
        let name = format!("{HEADER_PREFIX}{name}");
        let header = letter.headers.iter().rev().find(|header| header.name == name.as_bytes())?;
        String::from_utf8(header.value.as_deref()?.to_vec()).ok()
    };
    let number = |name: &str| ours(name)?.parse::<i64>().ok();
    let text = |name: &str| Some(ours(name)?.into_bytes());
    let int = |number: i64| Some(i32::try_from(number).ok()?.to_be_bytes().to_vec());
    let timestamp = number("original-timestamp");
    let kind = |name: String| format!("oncewise.{name}").into_bytes();
    let springs = [
        ("original-topic", text("original-topic")),
        ("original-partition", number("original-partition").and_then(int)),
        ("original-offset", number("original-offset").map(|offset| offset.to_be_bytes().to_vec())),
        ("original-timestamp", timestamp.map(|time| time.to_be_bytes().to_vec())),
        ("original-timestamp-type", timestamp.map(|_| b"CreateTime".to_vec())),
        ("original-consumer-group", text("group")),
        // There is a class in Java, and a disposition here.
        ("exception-fqcn", ours("disposition").map(kind)),
        ("exception-message", text("error")),
        ("exception-stacktrace", text("error-chain")),
    ];
    let springs = springs.into_iter().filter_map(|(name, value)| {
        Some(Header { name: format!("{SPRING_PREFIX}{name}").into(), value: Some(value?.into()) })
    });
    let springs: Vec<Header> = springs.collect();
    letter.headers.extend(springs);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_letter_says_the_same_in_springs_words_and_binary_numbers() {
        let theirs = Header::text("kafka_dlt-original-topic", "of an upstream");
        let ours = [
            ("original-topic", "orders"),
            ("original-partition", "3"),
            ("original-offset", "258"),
            ("original-timestamp", "1700000000123"),
            ("group", "payments"),
            ("disposition", "exhausted"),
            ("error", "busy"),
            ("error-chain", "socket"),
        ];
        let ours = ours.map(|(name, value)| Header::text(format!("{HEADER_PREFIX}{name}"), value));
        let headers: Vec<Header> = [theirs].into_iter().chain(ours).collect();
        let mut letter = NewRecord {
            topic: "t".into(),
            partition: None,
            timestamp: None,
            key: None,
            value: None,
            headers,
        };
        let before = letter.headers.clone();
        add_headers(&mut letter);
        let springs: [(&str, &[u8]); 9] = [
            ("original-topic", b"orders"),
            ("original-partition", &[0, 0, 0, 3]),
            ("original-offset", &[0, 0, 0, 0, 0, 0, 1, 2]),
            ("original-timestamp", &[0, 0, 1, 0x8b, 0xcf, 0xe5, 0x68, 0x7b]),
            ("original-timestamp-type", b"CreateTime"),
            ("original-consumer-group", b"payments"),
            ("exception-fqcn", b"oncewise.exhausted"),
            ("exception-message", b"busy"),
            ("exception-stacktrace", b"socket"),
        ];
        let springs = springs.map(|(name, value)| Header {
            name: format!("{SPRING_PREFIX}{name}").into(),
            value: Some(value.to_vec().into()),
        });
        assert_eq!(letter.headers, [before, springs.to_vec()].concat());
    }
}
