use super::*;
use crate::{
    check::State,
    kafka::{Flaw, TopicConfig},
};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3600);

fn horizon(ttl: Duration) -> Horizon {
    let (lease, retry_budget) = (Duration::from_secs(10), 15 * MINUTE);
    Horizon { handler: "payments.charge".to_owned(), ttl, lease, retry_budget }
}

fn topic(retention: i64, policy: &str) -> TopicInfo {
    let config = TopicConfig {
        retention_ms: retention,
        retention_bytes: -1,
        cleanup_policy: policy.to_owned(),
        max_message_bytes: 1_000_000,
        timestamp_type: "CreateTime".to_owned(),
        limits_timestamps: true,
    };
    TopicInfo { name: "orders".to_owned(), partitions: 3, replication_factor: 1, config: Some(config) }
}

fn week() -> TopicInfo {
    topic(7 * 24 * 3600 * 1000, "delete")
}

fn states(findings: &[Finding]) -> Vec<State> {
    findings.iter().map(|finding| finding.state).collect()
}

#[test]
fn the_topic_by_which_letters_come_back_may_be_missing_and_never_holds_up_a_start() {
    let plan = TopicPlan::copy_of(&week(), "orders.shop.redrive".to_owned(), None);
    assert_eq!(redriven(&plan, &Ok(None)), []);
    let here = |topic: TopicInfo| Ok(Some(TopicInfo { name: plan.name.clone(), ..topic }));
    let whole = TopicInfo { config: None, ..week() };
    assert_eq!(states(&redriven(&plan, &here(whole))), [State::Fine]);
    let loses = redriven(&plan, &here(topic(1000, "delete")));
    assert!(!loses.is_empty() && states(&loses).iter().all(|state| *state == State::Warning), "{loses:?}");
    let fault = KafkaFault::new(FaultKind::Refused, "topic orders.shop.redrive: not authorized");
    let unseen = redriven(&plan, &Err(fault));
    assert_eq!((states(&unseen), unseen[0].found.as_str()), (vec![State::Warning], "not authorized"));
    assert!(unseen[0].advice.as_ref().unwrap().starts_with("grant Describe and Read"), "{unseen:?}");
}

fn report() -> StoreReport {
    StoreReport {
        version: Some("7.0.15".to_owned()),
        maxmemory_policy: Some("noeviction".to_owned()),
        role: Some("master".to_owned()),
        used_memory: Some(10),
        maxmemory: Some(100),
        ..StoreReport::default()
    }
}

fn worst(change: impl FnOnce(&mut StoreReport)) -> State {
    let mut report = report();
    change(&mut report);
    store(&Ok(report)).iter().map(|finding| finding.state).max().expect("findings")
}

#[test]
fn the_default_memory_outlives_kafkas_defaults() {
    let found = memory(&horizon(8 * DAY), [week()].iter(), Some(7 * DAY));
    assert_eq!(states(&found), [State::Fine], "{found:?}");
}

#[test]
fn a_memory_shorter_than_retries_and_lease_is_a_problem_with_its_sum() {
    let under_way = 15 * MINUTE + Duration::from_secs(10);
    let found = memory(&horizon(under_way - Duration::from_secs(1)), [].iter(), None);
    assert_eq!(states(&found), [State::Problem]);
    assert!(found[0].found.ends_with("retries 15m + lease 10s = 15m 10s"), "{found:?}");
    assert_eq!(states(&memory(&horizon(under_way), [].iter(), None)), [State::Fine]);
}

#[test]
fn a_memory_shorter_than_what_kafka_keeps_is_a_warning_with_the_sum() {
    let found = memory(&horizon(DAY), [week()].iter(), Some(7 * DAY));
    assert_eq!(states(&found), [State::Warning, State::Warning]);
    assert_eq!(
        found[0].found,
        "1day, but topic orders keeps records for 7days + retries 15m + lease 10s = 7days 15m 10s"
    );
    assert!(found[1].found.contains("position for 7days"), "{found:?}");
    let found = memory(&horizon(7 * DAY), [week()].iter(), None);
    assert_eq!(states(&found), [State::Warning], "a record may be at its end when its retries begin");
}

#[test]
fn no_memory_outlives_a_topic_that_keeps_for_ever() {
    for source in [topic(-1, "delete"), topic(1, "compact")] {
        let found = memory(&horizon(365 * DAY), [source].iter(), None);
        assert_eq!(states(&found), [State::Warning]);
    }
}

#[test]
fn what_the_broker_does_not_tell_is_not_judged() {
    let silent = TopicInfo { config: None, ..week() };
    for found in [
        memory(&horizon(DAY), [silent].iter(), Some(MINUTE)),
        memory(&horizon(8 * DAY), [week()].iter(), None),
    ] {
        assert_eq!(states(&found), [State::Fine]);
        assert!(found[0].found.contains("15m 10s") && found[0].found.ends_with("is not known"), "{found:?}");
    }
}

#[test]
fn every_evicting_policy_is_a_problem() {
    assert_eq!(worst(|_| {}), State::Fine);
    for policy in [
        "allkeys-lru",
        "allkeys-lfu",
        "allkeys-random",
        "volatile-lru",
        "volatile-lfu",
        "volatile-ttl",
        "volatile-random",
    ] {
        assert_eq!(
            worst(|report| report.maxmemory_policy = Some(policy.to_owned())),
            State::Problem,
            "{policy}"
        );
    }
    assert_eq!(worst(|report| report.maxmemory_policy = None), State::Warning);
}

#[test]
fn versions_are_compared_as_numbers() {
    for (version, state) in [
        ("7.0.0", State::Fine),
        ("7.4.1", State::Fine),
        ("10.0.1", State::Fine),
        ("6.2.14", State::Problem),
        ("seven", State::Warning),
    ] {
        assert_eq!(worst(|report| report.version = Some(version.to_owned())), state, "{version}");
    }
    assert_eq!(worst(|report| report.version = None), State::Warning);
}

#[test]
fn a_replica_is_a_problem_and_full_memory_a_warning() {
    assert_eq!(worst(|report| report.role = Some("slave".to_owned())), State::Problem);
    assert_eq!(worst(|report| report.role = None), State::Warning);
    assert_eq!(worst(|report| report.used_memory = Some(80)), State::Warning);
    assert_eq!(worst(|report| report.used_memory = Some(79)), State::Fine);
    assert_eq!(worst(|report| report.maxmemory = Some(0)), State::Fine, "no limit");
    assert_eq!(states(&store(&Err(StoreFault::unavailable("no answer")))), [State::Problem]);
}

#[test]
fn sources_must_exist_and_be_seen() {
    assert_eq!(source("orders", &Ok(Some(week()))).state, State::Fine);
    assert_eq!(source("orders", &Ok(None)).state, State::Problem);
    let fault = KafkaFault { kind: FaultKind::Refused, message: "topic orders: not allowed".to_owned() };
    let finding = source("orders", &Err(fault));
    assert_eq!((finding.state, finding.found.as_str()), (State::Problem, "not allowed"));
    assert!(finding.advice.is_some_and(|advice| advice.contains("Read")));
}

#[test]
fn topics_of_ours_are_judged_by_their_flaws() {
    let plan = TopicPlan::dead_letter(&week(), "shop", None);
    let judged = |ensured| states(&ours(&plan, &ensured));
    let flaw = |grave| Flaw { grave, found: String::new(), advice: String::new() };
    assert_eq!(judged(Ok(Ensured::Created)), [State::Fine]);
    assert_eq!(judged(Ok(Ensured::Found(vec![]))), [State::Fine]);
    assert_eq!(judged(Ok(Ensured::Found(vec![flaw(false), flaw(true)]))), [State::Warning, State::Problem]);
    assert_eq!(judged(Ok(Ensured::Missing)), [State::Problem]);
    let missing = ours(&plan, &Ok(Ensured::Missing));
    assert!(missing[0].advice.as_ref().is_some_and(|advice| advice.contains("--create")), "{missing:?}");
}

#[test]
fn advice_about_brokers_fits_the_fault() {
    let advice = |kind| no_broker(&KafkaFault { kind, message: String::new() }).advice.expect("advice");
    assert!(advice(FaultKind::Refused).contains("password"));
    assert!(advice(FaultKind::Untrusted).contains("certificates"));
    assert!(advice(FaultKind::Unreachable).contains("brokers"));
    assert!(advice(FaultKind::Misconfigured).contains("kafka.properties"));
}

#[test]
fn all_replicas_have_to_be_waited_for() {
    let found = |each: &[u64], waited_for| {
        let report = StoreReport { replicas: each.to_vec(), ..report() };
        replicas(&report, waited_for).map(|finding| finding.state)
    };
    assert_eq!(found(&[2], 0), None);
    assert_eq!(found(&[], 1), None);
    assert_eq!(found(&[0], 1), Some(State::Problem));
    assert_eq!(found(&[1], 1), Some(State::Fine));
    assert_eq!(found(&[2], 1), Some(State::Warning));
    // One master of a cluster is enough.
    assert_eq!(found(&[1, 0, 1], 1), Some(State::Problem));
    assert_eq!(found(&[1, 2, 1], 1), Some(State::Warning));
}
