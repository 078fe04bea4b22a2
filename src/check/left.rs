//! Topics where events of a group wait to be tried later, although its configuration does not speak of them any more.

use std::{collections::BTreeSet, time::Duration};

use super::{Finding, Reliance};
use crate::pipeline::sent_on::{retry_topic, source_and_delay};

/// A topic that nobody sends anything to any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Left {
    pub(super) topic: String,
    source: String,
    delay: Duration,
    /// The service still consumes the topic that its records came from, and with it this one.
    is_consumed: bool,
}

/// Those of these topics.
pub(super) fn left(names: &BTreeSet<String>, service: &Reliance) -> Vec<Left> {
    let left = names.iter().filter_map(|topic| {
        let (source, delay) = source_and_delay(topic, &service.group)?;
        let mut delays = service.later.get(source).into_iter().flatten();
        let is_configured = delays.any(|delay| retry_topic(source, &service.group, *delay) == *topic);
        let is_consumed = service.topics.iter().any(|topic| topic == source);
        let (topic, source) = (topic.clone(), source.to_owned());
        (!is_configured).then_some(Left { topic, source, delay, is_consumed })
    });
    left.collect()
}

/// What is to be said of it while so many records wait there, if that is known.
pub(super) fn judge(left: &Left, waiting: Option<i64>) -> Finding {
    let Left { topic, source, delay, is_consumed } = left;
    let (subject, delay) = (format!("topic {topic}"), humantime::format_duration(*delay));
    let Some(waiting) = waiting else {
        return Finding::warning(
            subject,
            format!(
                "retry.later has no {delay} for {source} any more, and nothing is committed there: how many records wait is not known"
            ),
            "look at them before an offset is accepted: what is older than dedupe.ttl would run again",
        );
    };
    let wait = if waiting == 1 { "1 record waits".to_owned() } else { format!("{waiting} records wait") };
    match (waiting, is_consumed) {
        (0, _) => {
            Finding::fine(subject, format!("empty, and retry.later has no {delay} for {source} any more"))
        }
        (_, true) => Finding::warning(
            subject,
            format!("{wait}, and retry.later has no {delay} for {source} any more"),
            "they are still tried when they are due",
        ),
        (_, false) => Finding::warning(
            subject,
            format!("{wait}, and this service will not try them: it does not consume {source} any more"),
            format!(
                "unless another deployment of the group does, let it consume {source} until the topic is empty"
            ),
        ),
    }
}

/// Nothing that is left over keeps a worker from what it has to do.
pub(super) fn unknown(group: &str, fault: &impl std::fmt::Display) -> Finding {
    Finding::warning(
        format!("group {group}"),
        format!("whether records wait where retry.later does not speak of any more is not known: {fault}"),
        "look again when Kafka answers for all topics of the group",
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::check::State;

    #[test]
    fn what_is_left_is_told_from_what_is_configured_and_from_what_others_have() {
        let minute = Duration::from_secs(60);
        let service = Reliance {
            group: "pay".to_owned(),
            topics: vec!["orders".to_owned()],
            publishes: vec![],
            later: BTreeMap::from([("orders".to_owned(), BTreeSet::from([minute]))]),
            ledger: None,
            horizons: vec![],
        };
        let names = [
            "orders",
            "orders.pay.dlt",
            "orders.pay.retry.1m",
            "orders.pay.retry.10m",
            "orders.other.retry.10m",
            "refunds.pay.retry.1m",
        ];
        let found = left(&names.map(str::to_owned).into(), &service);
        let named: Vec<_> = found.iter().map(|left| (left.topic.as_str(), left.is_consumed)).collect();
        assert_eq!(named, [("orders.pay.retry.10m", true), ("refunds.pay.retry.1m", false)]);
        let said = judge(&found[0], Some(3));
        assert_eq!(
            (said.state, said.found.as_str()),
            (State::Warning, "3 records wait, and retry.later has no 10m for orders any more")
        );
        assert_eq!(judge(&found[0], Some(0)).state, State::Fine);
        let lost = judge(&found[1], Some(1));
        assert_eq!(
            lost.found,
            "1 record waits, and this service will not try them: it does not consume refunds any more"
        );
        // Offsets of long ago are gone: those of the log say nothing about what waits.
        let unknown = judge(&found[0], None);
        assert_eq!(unknown.state, State::Warning);
        assert!(unknown.found.ends_with("is not known"), "{}", unknown.found);
    }
}
