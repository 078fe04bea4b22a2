use super::*;

const DAY_MS: i64 = 24 * 3600 * 1000;

fn topic(name: &str, change: impl FnOnce(&mut TopicConfig)) -> TopicInfo {
    let mut config = TopicConfig {
        retention_ms: 7 * DAY_MS,
        retention_bytes: -1,
        cleanup_policy: "delete".to_owned(),
        max_message_bytes: 1_000_000,
        timestamp_type: "CreateTime".to_owned(),
        limits_timestamps: true,
    };
    change(&mut config);
    TopicInfo { name: name.to_owned(), partitions: 3, replication_factor: 2, config: Some(config) }
}

fn plan(change: impl FnOnce(&mut TopicConfig)) -> TopicPlan {
    TopicPlan::dead_letter(&topic("orders", change), "shop", None)
}

fn letters(change: impl FnOnce(&mut TopicConfig)) -> TopicInfo {
    topic("orders.shop.dlt", |config| {
        config.retention_ms = -1;
        config.max_message_bytes = 1_000_000 + HEADROOM;
        change(config);
    })
}

fn flaws(change: impl FnOnce(&mut TopicConfig)) -> Vec<(bool, String)> {
    let found = plan(|_| {}).flaws(&letters(change));
    found
        .into_iter()
        .map(|flaw| (flaw.grave, flaw.advice.rsplit(' ').next().unwrap_or("").to_owned()))
        .collect()
}

#[test]
fn a_plan_follows_its_source() {
    let plan = plan(|_| {});
    assert_eq!(
        (plan.name.as_str(), plan.partitions, plan.replication_factor),
        ("orders.shop.dlt", 3, Some(2))
    );
    let settings = plan.settings();
    for expected in [("retention.ms", "-1"), ("retention.bytes", "-1"), ("max.message.bytes", "1065536")] {
        assert!(settings.iter().any(|(key, value)| (*key, value.as_str()) == expected), "{expected:?}");
    }
    let configured = TopicPlan::dead_letter(&topic("orders", |_| {}), "shop", Some(3));
    assert_eq!(configured.replication_factor, Some(3));
}

#[test]
fn what_was_made_by_plan_has_no_flaws() {
    assert_eq!(flaws(|_| {}), []);
}

#[test]
fn each_flaw_is_seen() {
    let one = |grave, setting: &str| vec![(grave, setting.to_owned())];
    assert_eq!(flaws(|config| config.cleanup_policy = "compact".into()), one(true, "cleanup.policy=delete"));
    assert_eq!(flaws(|config| config.retention_ms = DAY_MS), one(true, "retention.ms=-1"));
    assert_eq!(flaws(|config| config.retention_ms = 30 * DAY_MS), one(false, "retention.ms=-1"));
    assert_eq!(flaws(|config| config.retention_bytes = 1), one(false, "retention.bytes=-1"));
    assert_eq!(flaws(|config| config.max_message_bytes -= 1), one(true, "max.message.bytes=1065536"));
    assert_eq!(
        flaws(|config| config.timestamp_type = "LogAppendTime".into()),
        one(false, "message.timestamp.type=CreateTime")
    );
}

#[test]
fn fewer_partitions_are_a_flaw_and_more_are_none() {
    let mut found = letters(|_| {});
    found.partitions = 4;
    assert_eq!(plan(|_| {}).flaws(&found), []);
    found.partitions = 2;
    let flaws = plan(|_| {}).flaws(&found);
    assert!(!flaws[0].grave && flaws[0].advice.ends_with("--partitions 3"), "{flaws:?}");
}

#[test]
fn no_retention_is_long_enough_for_a_source_that_keeps_for_ever() {
    for plan in
        [plan(|config| config.retention_ms = -1), plan(|config| config.cleanup_policy = "compact".into())]
    {
        let flaws = plan.flaws(&letters(|config| config.retention_ms = 365 * DAY_MS));
        assert!(flaws[0].grave, "{flaws:?}");
    }
}

#[test]
fn long_names_are_refused_before_the_broker_does() {
    assert_eq!(plan(|_| {}).name_problem(), None);
    let long = TopicPlan::dead_letter(&topic(&"t".repeat(245), |_| {}), "shop", None);
    assert!(long.name_problem().is_some_and(|text| text.contains("254") && text.contains("249")));
}

#[test]
fn a_ledger_is_compacted_for_ever_and_as_wide_as_its_widest_source() {
    let wide = TopicInfo { partitions: 12, replication_factor: 1, ..topic("payments", |_| {}) };
    let plan = TopicPlan::ledger("p.ledger.shop".to_owned(), [&topic("orders", |_| {}), &wide], None);
    assert_eq!((plan.partitions, plan.replication_factor), (12, Some(2)));
    for expected in [("cleanup.policy", "compact"), ("retention.ms", "-1"), ("retention.bytes", "-1")] {
        assert!(
            plan.settings().iter().any(|(key, value)| (*key, value.as_str()) == expected),
            "{expected:?}"
        );
    }
    assert!(plan.command().contains("--config cleanup.policy=compact"), "{}", plan.command());
}

#[test]
fn a_ledger_that_deletes_is_a_problem_and_one_that_is_not_compacted_is_large() {
    let plan = TopicPlan::ledger("p.ledger.shop".to_owned(), [&topic("orders", |_| {})], None);
    let graves = |policy: &str, retention_ms| -> Vec<bool> {
        let found = topic("p.ledger.shop", |config| {
            config.cleanup_policy = policy.to_owned();
            config.retention_ms = retention_ms;
        });
        plan.flaws(&found).into_iter().map(|flaw| flaw.grave).collect()
    };
    assert_eq!(graves("compact", 7 * DAY_MS), [false; 0], "compaction alone deletes nothing by age");
    assert_eq!(graves("delete", 7 * DAY_MS), [true]);
    assert_eq!(graves("compact,delete", 7 * DAY_MS), [true]);
    assert_eq!(graves("delete", -1), [false]);
    let narrow = TopicInfo {
        partitions: 1,
        ..topic("p.ledger.shop", |config| config.cleanup_policy = "compact".into())
    };
    assert_eq!(plan.flaws(&narrow), [], "a key finds its entry in whatever partition");
}
