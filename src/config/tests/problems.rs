use super::*;

#[test]
fn all_problems_come_at_once_with_value_origin_and_what_is_allowed() {
    let text = "[worker]\nconcurrency = 0\nordering = \"both\"\n[shop]\nopening_credit_cents = \"much\"\n\
                [dedupe]\nttl = 8\n[worker.nested]\nx = 1\n";
    let environment =
        [("ONCEWISE__WORKER__COMMIT_INTERVAL", "soon"), ("ONCEWISE__TELEMETRY__LOG_FILTER", "a=b=c")];
    let duration = "allowed is a duration from 1ms to ten years, such as \"30s\", \"250ms\" or \"8d\"";
    assert_eq!(
        problems_of(text, &environment),
        [
            format!("dedupe.ttl = 8 (default.toml:7): {duration}"),
            "worker.concurrency = 0 (default.toml:2): allowed is an integer from 1 to 100000".into(),
            "worker.ordering = \"both\" (default.toml:3): allowed is \"key\" or \"partition\" or \"none\""
                .into(),
            format!("worker.commit_interval = \"soon\" (ONCEWISE__WORKER__COMMIT_INTERVAL): {duration}"),
            "telemetry.log_filter = \"a=b=c\" (ONCEWISE__TELEMETRY__LOG_FILTER): \
             allowed is a filter such as \"info\" or \"warn,oncewise=debug\""
                .into(),
            format!(
                "shop.opening_credit_cents = \"much\" (default.toml:5): allowed is an integer from 0 to {}",
                i64::MAX
            ),
            "worker.nested.x (default.toml:9): unknown key".into(),
        ]
    );
}

#[test]
fn an_unknown_key_names_the_near_one_and_hides_its_value() {
    let text = "worker.concurency = 5\nredis.ulr = \"redis://u:hunter2@h\"\nretry = 5\nzebra = 1\n\
                services.payments.handlers.charge.retry.max_atempts = 2\n";
    assert_eq!(
        problems_of(text, &[("ONCEWISE__DEDUPE__LEAES", "1s")]),
        [
            "dedupe.leaes (ONCEWISE__DEDUPE__LEAES): unknown key; did you mean `dedupe.lease`?",
            "redis.ulr (default.toml:2): unknown key; did you mean `redis.url`?",
            "retry (default.toml:3): is a section: it takes keys, not a value",
            "services.payments.handlers.charge.retry.max_atempts (default.toml:5): unknown key; \
             did you mean `services.payments.handlers.charge.retry.max_attempts`?",
            "worker.concurency (default.toml:1): unknown key; did you mean `worker.concurrency`?",
            "zebra (default.toml:4): unknown key",
        ]
    );
}

#[test]
fn broken_toml_is_named_by_line_and_never_quoted() {
    let problems = problems_of("a = 1\nurl = \"hunter2\nb = =\n", &[]);
    assert!(problems.iter().any(|problem| problem.starts_with("default.toml:2: ")), "{problems:?}");
    assert!(problems.iter().any(|problem| problem.starts_with("default.toml:3: ")), "{problems:?}");
    assert!(!problems.concat().contains("hunter2"), "{problems:?}");
}

#[test]
fn what_does_not_exist_is_refused() {
    let text = "redis.mode = \"ring\"\n[dedupe]\nlayout = \"compressed\"\nprefix = \"a{b}\"\n";
    assert_eq!(
        problems_of(text, &[]),
        [
            "redis.mode = \"ring\" (default.toml:1): allowed is \"standalone\" or \"cluster\" or \"sentinel\"",
            "dedupe.layout = \"compressed\" (default.toml:3): allowed is \"keys\" or \"compact\"",
            "dedupe.prefix = \"a{b}\" (default.toml:4): allowed is A-Z, a-z, 0-9, _, -, . and :",
        ]
    );
}

#[test]
fn what_redis_is_told_has_to_fit_together() {
    let text = "[redis]\nmode = \"sentinel\"\nnodes = [\"a:6379\", \"b\"]\nkey_file = \"k.pem\"\n\
                wait_replicas = 1\nwait_timeout = \"1s\"\n";
    assert_eq!(
        problems_of(text, &[]),
        [
            "redis.sentinels = [] (default): mode \"sentinel\" needs them; allowed is a list of host:port",
            "redis.nodes = [\"a:6379\", \"b\"] (default.toml:3): \"b\" is no place of a server; allowed is host:port",
            "redis.key_file = \"k.pem\" (default.toml:4): `certificate_file` and `key_file` belong together; allowed \
             is both or none",
            "redis.wait_timeout = \"1s\" (default.toml:6): allowed is less than `redis.response_timeout` (1s)",
        ]
    );
}

#[test]
fn the_edges_of_every_kind_are_refused() {
    let text = "[worker]\nconcurrency = 100001\nmax_in_flight = 99999999999999999999\ndrain_timeout = \"0s\"\n\
                max_in_flight_bytes = 0\nstart_from = \"yesterday\"\n[topics]\ncreate = \"yes\"\n\
                replication_factor = 0\nnames.a = \"b/c\"\n[http]\nlisten = \"localhost\"\n[kafka]\nbrokers = \"\"\n\
                client_id = \" \"\n[redis]\nurl = \"http://u:hunter2@r\"\n";
    let problems = problems_of(text, &[]);
    let lines: Vec<&str> = problems.iter().map(|problem| problem.split(['(', ')']).nth(1).unwrap()).collect();
    let expected = [14, 15, 17, 2, 3, 5, 4, 6, 10, 8, 9, 12].map(|line| format!("default.toml:{line}"));
    assert_eq!(lines, expected, "{problems:#?}");
    assert!(problems[2].contains("\"http://***@r\""), "{problems:#?}");
}

#[test]
fn an_event_must_be_remembered_longer_than_its_retries_last() {
    let text = "[dedupe]\nttl = \"3d\"\nlease = \"1h\"\n[retry]\nbudget = \"3d\"\n\
                [services.a.retry]\nbudget = \"4d\"\n[services.b.dedupe]\nttl = \"1h\"\n\
                [services.c.handlers.h.dedupe]\nlease = \"999ms\"\n";
    assert_eq!(
        problems_of(text, &[]),
        [
            "dedupe.ttl = \"3d\" (default.toml:2): must be at least `retry.budget` = 3d plus \
             `dedupe.lease` = 1h, which is 3d 1h",
            "dedupe.ttl = \"3d\" (default.toml:2): must be at least `services.a.retry.budget` = 4d plus \
             `dedupe.lease` = 1h, which is 4d 1h",
            "services.b.dedupe.ttl = \"1h\" (default.toml:9): must be longer than `dedupe.lease` = 1h",
            "services.c.handlers.h.dedupe.lease = \"999ms\" (default.toml:11): \
             allowed is 1s or more: renewals would come too late",
            "dedupe.ttl = \"3d\" (default.toml:2): must be at least `retry.budget` = 3d plus \
             `services.c.handlers.h.dedupe.lease` = 999ms, which is 3d 999ms",
        ]
    );
}

#[test]
fn a_short_memory_is_allowed_and_warned_about_once() {
    let text = "[dedupe]\nttl = \"1d\"\n[services.a.handlers.h.dedupe]\nttl = \"2h\"\nlease = \"20s\"\n\
                [services.b.dedupe]\nlease = \"20s\"\n";
    assert_eq!(
        load_text(text, &[]).unwrap().settings.warnings,
        [
            "dedupe.ttl = 1d: what is repeated later than that takes effect again",
            "services.a.handlers.h.dedupe.ttl = 2h: what is repeated later than that takes effect again",
        ]
    );
    assert!(load_text("", &[]).unwrap().settings.warnings.is_empty());
}

#[test]
fn a_ledger_needs_a_prefix_that_a_topic_may_have() {
    let text = "[dedupe]\nprefix = \"a:b\"\n[services.payments.dedupe]\nprefix = \"c:d\"\n";
    let allowed = "with ledger.enabled it begins the name of a topic; allowed are A-Z, a-z, 0-9, _, - and .";
    assert_eq!(
        problems_of(&format!("{text}[ledger]\nenabled = true\n"), &[]),
        [
            format!("dedupe.prefix = \"a:b\" (default.toml:2): {allowed}"),
            format!("services.payments.dedupe.prefix = \"c:d\" (default.toml:4): {allowed}"),
        ]
    );
    let alone = "[dedupe]\nprefix = \"a:b\"\n[services.payments.ledger]\nenabled = true\n";
    let problem = format!("dedupe.prefix = \"a:b\" (default.toml:2): {allowed}");
    assert_eq!(problems_of(alone, &[]), [problem]);
}

#[test]
fn what_the_newer_group_protocol_leaves_to_the_brokers_is_refused() {
    let text = |protocol: &str| {
        format!(
            "[kafka.properties]\n\"group.protocol\" = {protocol:?}\n\"session.timeout.ms\" = 6000\n\
             \"heartbeat.interval.ms\" = 500\n"
        )
    };
    let whose = |name: &str, line: u8, value: u16| {
        format!(
            "kafka.properties.{name} = {value} (default.toml:{line}): cannot be set with group.protocol = \
             \"consumer\": the brokers decide it, group.consumer.{name}"
        )
    };
    assert_eq!(
        problems_of(&text("consumer"), &[]),
        [whose("heartbeat.interval.ms", 4, 500), whose("session.timeout.ms", 3, 6000)]
    );
    assert!(load_text(&text("classic"), &[]).is_ok());
    let unknown =
        "kafka.properties.group.protocol = \"raft\" (default.toml:2): allowed is \"classic\" or \"consumer\"";
    assert_eq!(problems_of(&text("raft"), &[]), [unknown]);
}

#[test]
fn a_name_in_the_group_has_letters_that_kafka_allows_and_places_that_are_known() {
    let id = |id: &str| load_text(&format!("[worker]\ninstance_id = {id:?}\n"), &[]);
    let settings = id("{hostname}.{service}").unwrap().settings;
    let named = settings.service("payments").worker.instance_id.map(|id| id.of("payments", "pod-3"));
    assert_eq!(named.as_deref(), Some("pod-3.payments"));
    for wrong in ["{pod}", "a b", "..", ""] {
        assert!(id(wrong).is_err(), "{wrong:?}");
    }
    let properties = "[kafka.properties]\n\"group.instance.id\" = \"pod-0\"\n";
    assert!(problems_of(properties, &[])[0].contains("`worker.instance_id` says"));
}

#[test]
fn a_stalled_partition_may_be_left_alone_by_one_service() {
    let text = "[services.payments.worker]\nstall_after = \"off\"\n";
    let settings = load_text(text, &[]).unwrap().settings;
    assert_eq!(settings.service("payments").worker.stall_after, None);
    assert_eq!(settings.worker.stall_after, Some(Duration::from_secs(120)));
}
