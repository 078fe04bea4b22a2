//! The headers of other frameworks.

use crate::pipeline::spring::SPRING_PREFIX;

use super::{
    Format, Told,
    headers::{Headers, big_integer, int, long, moment, name, number, text},
};

/// Dead-letter topics have these names, retry topics the same without `dlt-`, but for the group.
const SPRING: [&str; 2] = [SPRING_PREFIX, "kafka_"];
const SPRING_GROUP: &str = "kafka_dlt-original-consumer-group";
/// What Spring's retry topics keep their books with.
const SPRING_RETRY: &str = "retry_topic-";
/// What Spring's retry topics have, exactly: other headers of the record may begin with `kafka_`, too.
const SPRING_NAMES: [&str; 12] = [
    "original-topic",
    "original-partition",
    "original-offset",
    "original-timestamp",
    "original-timestamp-type",
    "exception-fqcn",
    "exception-cause-fqcn",
    "exception-message",
    "exception-stacktrace",
    "key-exception-fqcn",
    "key-exception-message",
    "key-exception-stacktrace",
];
const CONNECT: &str = "__connect.errors.";
const STREAMS: &str = "__streams.errors.";
const SMALLRYE: [&str; 2] = ["dead-letter-", "delayed-retry-"];
const WATERMILL: [&str; 5] = [
    "reason_poisoned",
    "topic_poisoned",
    "handler_poisoned",
    "subscriber_poisoned",
    "_watermill_requeuer_retries",
];

/// Where the record came from stays as it was written first; what went wrong is what was written last.
pub(super) fn spring(headers: Headers<'_>) -> Told {
    let first = |name: &str| SPRING.iter().find_map(|prefix| headers.first(&format!("{prefix}{name}")));
    let last = |name: &str| SPRING.iter().find_map(|prefix| headers.last(&format!("{prefix}{name}")));
    let retry = |name: &str| headers.last(&format!("{SPRING_RETRY}{name}"));
    Told {
        topic: first("original-topic").and_then(name),
        partition: first("original-partition").and_then(int),
        offset: first("original-offset").and_then(long),
        timestamp: first("original-timestamp")
            .and_then(long)
            .or_else(|| retry("original-timestamp").and_then(big_integer)),
        group: headers.last(SPRING_GROUP).and_then(name),
        attempts: retry("attempts").and_then(int).and_then(|attempts| u32::try_from(attempts).ok()),
        error: last("exception-message").or_else(|| last("key-exception-message")).and_then(text),
        class: last("exception-cause-fqcn").or_else(|| last("exception-fqcn")).and_then(text),
        chain: last("exception-stacktrace").and_then(text),
        ..Told::default()
    }
}

pub(super) fn connect(headers: Headers<'_>) -> Told {
    let of = |name: &str| headers.last(&format!("{CONNECT}{name}"));
    Told {
        topic: of("topic").and_then(name),
        partition: of("partition").and_then(number),
        offset: of("offset").and_then(number),
        group: of("connector.name").and_then(name),
        error: of("exception.message").and_then(text),
        class: of("exception.class.name").and_then(text),
        chain: of("exception.stacktrace").and_then(text),
        ..Told::default()
    }
}

pub(super) fn streams(headers: Headers<'_>) -> Told {
    let of = |name: &str| headers.last(&format!("{STREAMS}{name}"));
    Told {
        topic: of("topic").and_then(name),
        partition: of("partition").and_then(number),
        offset: of("offset").and_then(number),
        error: of("message").and_then(text),
        class: of("exception").and_then(text),
        chain: of("stacktrace").and_then(text),
        ..Told::default()
    }
}

/// It puts its headers before those of the record, old ones included: the first are the new ones.
pub(super) fn small_rye(headers: Headers<'_>) -> Told {
    let of = |name: &str| SMALLRYE.iter().find_map(|prefix| headers.first(&format!("{prefix}{name}")));
    let time = |name: &str| headers.first(&format!("delayed-retry-{name}")).and_then(number::<i64>);
    Told {
        topic: of("topic").and_then(name),
        partition: of("partition").and_then(number),
        offset: of("offset").and_then(number),
        timestamp: time("original-timestamp"),
        first_failure: time("first-processing-timestamp").and_then(moment),
        attempts: headers.first("delayed-retry-count").and_then(number),
        error: of("reason").and_then(text),
        class: of("exception-class-name").and_then(text),
        chain: of("cause").and_then(text),
        ..Told::default()
    }
}

pub(super) fn watermill(headers: Headers<'_>) -> Told {
    Told {
        topic: headers.last("topic_poisoned").and_then(name),
        error: headers.last("reason_poisoned").and_then(text),
        class: headers.last("handler_poisoned").and_then(text),
        group: headers.last("subscriber_poisoned").and_then(name),
        ..Told::default()
    }
}

/// Whether a header is one that Spring's dead letters have, and ours on request.
pub(super) fn is_springs(name: &[u8]) -> bool {
    name.starts_with(SPRING[0].as_bytes())
}

/// Whether a letter of this format has added a header of this name.
pub(super) fn is_added(format: Format, name: &[u8]) -> bool {
    let starts = |prefix: &str| name.starts_with(prefix.as_bytes());
    match format {
        Format::Spring => {
            let of_retries = name.strip_prefix(SPRING[1].as_bytes());
            let of_retries =
                of_retries.is_some_and(|rest| SPRING_NAMES.iter().any(|name| name.as_bytes() == rest));
            is_springs(name) || of_retries || starts(SPRING_RETRY)
        }
        Format::Connect => starts(CONNECT),
        Format::Streams => starts(STREAMS),
        Format::SmallRye => SMALLRYE.iter().any(|prefix| starts(prefix)),
        Format::Watermill => WATERMILL.iter().any(|known| known.as_bytes() == name),
        Format::Oncewise | Format::Unknown => false,
    }
}
