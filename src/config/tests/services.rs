use std::time::Duration;

use super::*;
use crate::{RetryPolicy, config::DedupeSettings};

const TEXT: &str = r#"
[worker]
concurrency = 10
handler_timeout = "1m"

[retry]
max_attempts = 2
max_delay = "20s"

[services.payments]
group = "pay-v2"
worker.concurrency = 20
dedupe.ttl = "4d"
retry.max_attempts = 3

[services.payments.handlers.charge]
dedupe.lease = "30s"
dedupe.max_deliveries = 5
worker.handler_timeout = "2m"
retry.max_attempts = 4
"#;

#[test]
fn the_narrower_section_wins_and_inherits_the_rest() {
    let settings = load_text(TEXT, &[]).unwrap().settings;

    let other = settings.service("orders");
    assert_eq!((other.group, other.worker), (None, settings.worker.clone()));

    let payments = settings.service("payments");
    assert_eq!(payments.group.as_deref(), Some("pay-v2"));
    assert_eq!(payments.worker.concurrency, 20);
    assert_eq!(payments.worker.handler_timeout, Duration::from_secs(60));
    assert_eq!(payments.dedupe.ttl, Some(Duration::from_secs(4 * 86_400)));
    assert_eq!(payments.dedupe.lease, settings.dedupe.lease);

    let charge = settings.handler("payments", "charge");
    assert_eq!(charge.ttl, payments.dedupe.ttl);
    assert_eq!(charge.lease, Duration::from_secs(30));
    assert_eq!(charge.max_deliveries, 5);
    assert_eq!(charge.timeout, Duration::from_secs(120));

    let silent = settings.handler("payments", "refund");
    assert_eq!((silent.timeout, silent.retry), (Duration::from_secs(60), payments.retry));
}

#[test]
fn retries_are_handler_over_service_over_general_over_code() {
    let settings = load_text(TEXT, &[]).unwrap().settings;
    let own = RetryPolicy {
        max_attempts: 1,
        initial_delay: Duration::from_secs(7),
        max_delay: Duration::from_secs(9),
        budget: Duration::from_secs(11),
        ..RetryPolicy::default()
    };
    let attempts = |service, handler| settings.handler(service, handler).retry.over(own).max_attempts;
    assert_eq!(attempts("payments", "charge"), 4);
    assert_eq!(attempts("payments", "refund"), 3);
    assert_eq!(attempts("orders", "store"), 2);
    assert_eq!(load_text("", &[]).unwrap().settings.handler("orders", "store").retry.over(own), own);
    let general = settings.handler("orders", "store").retry.over(own);
    assert_eq!((general.max_delay, general.initial_delay), (Duration::from_secs(20), own.initial_delay));
}

#[test]
fn names_and_groups_must_fit_where_they_are_used() {
    let text =
        "[services.Pay-ments]\ngroup = \"a.b\"\n[services.a.handlers.\"b-c\".retry]\nmax_attempts = 1\n";
    assert_eq!(
        problems_of(text, &[]),
        [
            "services.Pay-ments: the name \"Pay-ments\" is not allowed; allowed are a-z, 0-9 and _",
            "services.Pay-ments.group = \"a.b\" (default.toml:2): allowed is A-Z, a-z, 0-9, _ and -",
            "services.a.handlers.b-c: the name \"b-c\" is not allowed; allowed are a-z, 0-9 and _",
        ]
    );
}

#[test]
fn sections_of_services_the_program_does_not_hold_are_named() {
    let text =
        "[services.paymnets]\ngroup = \"x\"\n[services.orders.handlers.stroe]\nretry.budget = \"1s\"\n";
    let settings = load_text(text, &[("ONCEWISE__SERVICES__MAIL__GROUP", "x")]).unwrap().settings;
    let problems = settings.unknown_services(&[("orders", &["store", "cancel"]), ("payments", &["charge"])]);
    let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts[0],
        "services.mail (ONCEWISE__SERVICES__MAIL__GROUP): there is no such service; there are: orders, payments"
    );
    assert!(texts[1].starts_with("services.orders.handlers.stroe (/"));
    assert!(texts[1].ends_with("/default.toml:4): there is no such handler; there are: store, cancel"));
    assert!(texts[2].starts_with("services.paymnets (/") && texts.len() == 3, "{texts:?}");
    let known: [(&str, &[&str]); 3] = [("orders", &["stroe"]), ("paymnets", &[]), ("mail", &[])];
    assert!(settings.unknown_services(&known).is_empty());
}

#[test]
fn a_policy_in_code_that_outlasts_the_memory_is_a_problem() {
    let settings = load_text("services.a.handlers.patient.retry.budget = \"1h\"", &[]).unwrap().settings;
    let own = RetryPolicy { budget: DedupeSettings::DEFAULT_TTL, ..RetryPolicy::default() };
    assert_eq!(
        settings.forgets_too_early("a", "stubborn", own, None).unwrap().to_string(),
        "services.a.handlers.stubborn.dedupe.ttl = \"8d\": \
         must be at least the retry budget 8d plus the lease 10s, which is 8d 10s"
    );
    assert_eq!(settings.forgets_too_early("a", "patient", own, None), None);
}

#[test]
fn what_is_put_off_for_longer_than_it_may_be_tried_is_a_problem() {
    let text = "retry.later = [\"1m\", \"1h\"]\nservices.a.handlers.brief.retry.later = []";
    let settings = load_text(text, &[]).unwrap().settings;
    let own = RetryPolicy::default();
    assert_eq!(
        settings.puts_off_too_long("a", "any", own).unwrap().to_string(),
        "services.a.handlers.any.retry.later = \"1h\": allowed is at most the retry budget, which is 15m"
    );
    assert_eq!(settings.puts_off_too_long("a", "brief", own), None);
    assert_eq!(settings.puts_off_too_long("a", "any", RetryPolicy { budget: Duration::MAX, ..own }), None);
    let list = "allowed is a list of up to 8 durations that ascend, such as [\"1m\", \"10m\", \"1h\"]";
    for wrong in ["[\"2m\", \"1m\"]", "[\"0s\"]", "true"] {
        let problems = problems_of(&format!("retry.later = {wrong}"), &[]);
        assert!(problems[0].ends_with(list), "{problems:?}");
    }
}

#[test]
fn an_event_cannot_be_tried_for_longer_than_its_budget() {
    let text = "retry.at_least = \"20m\"\nservices.a.handlers.brief.retry.at_least = \"off\"";
    let settings = load_text(text, &[]).unwrap().settings;
    let own = RetryPolicy { at_least: Duration::from_secs(7), ..RetryPolicy::default() };
    assert_eq!(
        settings.tries_too_long("a", "any", own).unwrap().to_string(),
        "services.a.handlers.any.retry.at_least = \"20m\": allowed is at most the retry budget, which is 15m"
    );
    assert_eq!(settings.tries_too_long("a", "brief", own), None);
    let at_least = |handler| settings.handler("a", handler).retry.over(own).at_least;
    assert_eq!((at_least("any"), at_least("brief")), (Duration::from_secs(1_200), Duration::ZERO));
    assert_eq!(load_text("", &[]).unwrap().settings.handler("a", "any").retry.over(own), own);
    assert_eq!(
        problems_of("retry.at_least = \"0s\"", &[]),
        [
            "retry.at_least = \"0s\" (default.toml:1): allowed is a duration from 1ms to ten years, such as \"10m\", or \"off\""
        ]
    );
}

#[test]
fn the_memory_is_the_configurations_before_the_handlers_before_eight_days() {
    const DAY: Duration = Duration::from_secs(86_400);
    let text = "services.a.dedupe.ttl = \"5d\"\nservices.a.handlers.h.dedupe.ttl = \"3d\"";
    let settings = load_text(text, &[]).unwrap().settings;
    let ttl = |service, handler, own| settings.handler(service, handler).ttl_over(own);
    assert_eq!(ttl("a", "h", Some(DAY)), 3 * DAY);
    assert_eq!(ttl("a", "other", Some(DAY)), 5 * DAY);
    assert_eq!(ttl("b", "h", Some(DAY)), DAY);
    assert_eq!(ttl("b", "h", None), 8 * DAY);
    let general = load_text("dedupe.ttl = \"9d\"", &[]).unwrap().settings;
    assert_eq!(general.handler("b", "h").ttl_over(Some(DAY)), 9 * DAY);
}

#[test]
fn a_service_may_keep_a_ledger_when_others_do_not_and_the_other_way_round() {
    let text = "[ledger]\nenabled = true\n[services.a.ledger]\nenabled = false\n";
    let settings = load_text(text, &[]).unwrap().settings;
    assert_eq!(["a", "b"].map(|name| settings.service(name).ledger.enabled), [false, true]);
    let settings = load_text("services.a.ledger.enabled = true", &[]).unwrap().settings;
    assert_eq!(["a", "b"].map(|name| settings.service(name).ledger.enabled), [true, false]);
}

#[test]
fn a_memory_in_code_that_is_shorter_than_the_retries_is_a_problem() {
    let settings = load_text("services.a.dedupe.ttl = \"1h\"", &[]).unwrap().settings;
    let (own, minute) = (RetryPolicy::default(), Some(Duration::from_secs(60)));
    assert_eq!(
        settings.forgets_too_early("b", "h", own, minute).unwrap().to_string(),
        "services.b.handlers.h.dedupe.ttl = \"1m\": \
         must be at least the retry budget 15m plus the lease 10s, which is 15m 10s"
    );
    assert_eq!(settings.forgets_too_early("a", "h", own, minute), None, "the configuration wins");
}
