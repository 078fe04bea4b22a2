//! All pods of a service, over HTTP and in the page: told and shown as by the command line and by Kafka's own tools.

use serde_json::{Value, json};

use super::{
    Desk, PATIENCE, TEST_WORKER,
    browser::Browser,
    keyboard::{TAB, press_on},
    page::{DESKTOP, PHONE, is_too_wide, keep, violations},
};
use crate::support::{
    http::get,
    kafka::{TestTopic, group_lag},
    process::Worker,
    wait::until,
};

impl Desk {
    /// A pod more, without endpoints, once the others know of it and each has a partition.
    async fn with_another(&self, partitions: usize) -> Worker {
        let other = self.pods.clone().with("ADMIN__LISTEN", "off").start(TEST_WORKER);
        until("two pods with partitions each", PATIENCE, async || {
            let fleet = self.json("/fleet").await;
            let pods = fleet["services"][0]["pods"].as_array().unwrap().clone();
            let has = |pod: &Value| pod["partitions"][self.topic.name()].as_array().map_or(0, Vec::len);
            if pods.len() == 2 && pods.iter().all(|pod| has(pod) == partitions / 2) {
                Ok(())
            } else {
                Err(fleet)
            }
        })
        .await;
        other
    }

    fn attempts(&self) -> usize {
        self.pods.attempts().all().len()
    }

    /// What the command line says.
    async fn told(&self, args: &[&str]) -> Value {
        let mut worker = self.pods.command(TEST_WORKER, &[args, &["--json"]].concat());
        worker.wait(PATIENCE).await;
        let said = worker.output();
        let line = said.lines().find(|line| line.starts_with('{')).unwrap_or_else(|| panic!("{said}"));
        serde_json::from_str(line).unwrap()
    }

    /// The lag of the group, once Kafka's own tool says that it is so much.
    async fn kafka_says(&self, lag: i64) {
        until("Kafka's own tool to say so", PATIENCE, async || {
            let told = group_lag(&self.pods.group).await;
            let sum: i64 = told.iter().filter_map(|partition| partition.lag).sum();
            if sum == lag { Ok(()) } else { Err(told) }
        })
        .await;
    }
}

/// The rows of the table of pods, as people see them.
async fn pods(browser: &Browser) -> Vec<Vec<String>> {
    let script = "return JSON.stringify([...document.querySelectorAll('#fleet tbody tr')]
        .map((row) => [...row.cells].map((cell) => cell.innerText.trim())))";
    serde_json::from_str(browser.run(script, json!([])).await.as_str().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_buttons_pause_every_pod_and_let_them_go_on() {
    let desk = Desk::of(2).await;
    let _other = desk.with_another(2).await;
    desk.events(0, 20, "").await;
    desk.pods.commit(&desk.topic, 20, PATIENCE).await;
    let browser = desk.console(DESKTOP, "light").await;
    browser.shows("#fleet", |text| text.contains("working")).await;
    press_on(&browser, "#fleet [data-key=pause]").await;
    browser.shows("dialog h2", |text| text == format!("Pause {}?", desk.pods.group)).await;
    assert_eq!(violations(&browser).await, [""; 0]);
    keep(&browser, "pause").await;
    // From the choice of what to the reason.
    browser.press(TAB).await;
    browser.press("the bank is away").await;
    press_on(&browser, "dialog [type=submit]").await;
    browser.shows("#told", |text| text.contains("is paused: 2 of 2 pods do so.")).await;
    let said = browser.shows("#fleet .pauses", |text| text.contains("everything by api@127.0.0.1")).await;
    assert!(said.contains(": the bank is away"), "{said}");

    // No pod begins anything, and the lag is what Kafka says.
    desk.events(20, 60, "").await;
    desk.kafka_says(40).await;
    browser.shows("[data-value=fleet-lag]", |text| text == "40").await;
    assert_eq!(desk.attempts(), 20, "something has begun");
    // What nobody has begun has an age all the same.
    browser.shows("[data-value=oldest]", |text| text != "0 s" && text != "–").await;
    let shown = until("both pods to say so", PATIENCE, async || {
        let shown = pods(&browser).await;
        if shown.iter().all(|pod| pod[1].ends_with("paused")) { Ok(shown) } else { Err(shown) }
    })
    .await;
    let status = desk.told(&["status", "--service", &desk.pods.group]).await;
    let known = status["services"][0]["pods"].as_array().unwrap();
    let names: Vec<&str> = known.iter().map(|pod| pod["pod"].as_str().unwrap()).collect();
    assert_eq!(shown.iter().map(|pod| &pod[0]).collect::<Vec<_>>(), names);
    assert!(shown.iter().all(|pod| pod[2] == "1"), "a partition each: {shown:?}");
    for (name, (width, height)) in [("fleet", DESKTOP), ("fleet-phone", PHONE)] {
        for scheme in ["light", "dark"] {
            browser.look_like(width, height, scheme).await;
            let found = violations(&browser).await;
            assert!(found.is_empty(), "{name}, {scheme}: {found:#?}");
            assert!(!is_too_wide(&browser).await, "{name} has to be scrolled sideways");
            keep(&browser, &format!("{name}-{scheme}")).await;
        }
    }

    press_on(&browser, "#fleet .pauses [data-key=resume]").await;
    browser.shows("dialog", |text| text.contains("This lets everything go on at once.")).await;
    press_on(&browser, "dialog [type=submit]").await;
    browser.shows("#told", |text| text.contains("goes on: 2 of 2 pods do so.")).await;
    desk.pods.commit(&desk.topic, 60, PATIENCE).await;
    browser.shows("[data-value=fleet-lag]", |text| text == "0").await;
    let counts = desk.pods.effects().counts();
    assert!(counts.len() == 60 && counts.values().all(|count| *count == 1), "{counts:?}");
    // The button has gone with the pause; its user has not been sent to the top of the page.
    let is_lost = "return document.activeElement === document.body";
    assert_eq!(browser.run(is_lost, json!([])).await, false);
    let acts = desk.acts().await;
    let acts: Vec<_> = acts.iter().map(|act| (&act["verb"], &act["who"], &act["before"]["reason"])).collect();
    let (who, reason) = (json!("api@127.0.0.1"), json!("the bank is away"));
    assert_eq!(acts, [(&json!("pause"), &who, &reason), (&json!("resume"), &who, &Value::Null)]);
    assert_eq!(browser.complaints().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_http_pods_are_told_and_shown_as_by_the_command_line() {
    let desk = Desk::of(2).await;
    let other = desk.with_another(2).await;
    let (group, topic) = (desk.pods.group.as_str(), desk.topic.name());
    let scope = json!([{ "group": group, "topic": topic }]);
    let order = json!({ "service": group, "topic": topic, "reason": "a look" });
    let paused = desk.order("/pause", order).await.json();
    assert_eq!((&paused["by_all"], &paused["scopes"]), (&json!(true), &scope), "{paused}");
    assert_eq!(paused["pods"].as_array().unwrap().len(), 2, "{paused}");
    desk.events(0, 10, "").await;
    // Pods report every now and then: what both read at different moments is left out.
    let ours = until("the brokers to be asked again", PATIENCE, async || {
        let ours = desk.json("/fleet").await["services"][0].clone();
        if ours["lag"] == 10 { Ok(ours) } else { Err(ours) }
    })
    .await;
    assert_eq!(desk.attempts(), 0);
    let theirs = desk.told(&["status", "--service", group]).await["services"][0].clone();
    for field in ["service", "group", "paused", "lag", "later", "partitions"] {
        assert_eq!(ours[field], theirs[field], "{field}");
    }
    assert_eq!(
        (&ours["paused"][0]["who"], &ours["paused"][0]["reason"]),
        (&json!("api@127.0.0.1"), &json!("a look"))
    );

    // What the command line has paused goes on over HTTP, and a pod that does not answer is named.
    let elsewhere = desk.order("/resume", json!({ "service": group })).await;
    assert_eq!(elsewhere.status, 409, "{elsewhere:?}");
    assert!(elsewhere.body.contains(&format!("topic {topic} by api@127.0.0.1")), "{elsewhere:?}");
    assert_eq!(desk.told(&["pause", "--service", group]).await["by_all"], true);
    other.freeze();
    let resumed = desk.order("/resume", json!({ "service": group, "all": true, "wait": "2s" })).await;
    assert_eq!(resumed.status, 200, "{resumed:?}");
    let resumed = resumed.json();
    assert_eq!(
        (&resumed["by_all"], resumed["scopes"].as_array().unwrap().len()),
        (&json!(false), 2),
        "{resumed}"
    );
    let heeded = |pod: &&Value| pod["heeded"] == true;
    assert_eq!(resumed["pods"].as_array().unwrap().iter().filter(heeded).count(), 1, "{resumed}");
    other.thaw();
    let nothing = desk.order("/resume", json!({ "service": group })).await;
    assert_eq!((nothing.status, &nothing.json()["scopes"]), (200, &json!([])), "{nothing:?}");
    let verbs: Vec<_> =
        desk.acts().await.iter().map(|act| format!("{} {}", act["verb"], act["who"])).collect();
    assert_eq!(verbs.len(), 3, "what was refused is not there: {verbs:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_can_pause_is_refused_in_the_words_of_the_command_line() {
    let desk = Desk::of(1).await;
    let group = desk.pods.group.as_str();
    let wrong = json!({ "service": group, "topic": "none", "handler": "nobody", "wait": "1h", "why": "" });
    let refused = desk.order("/pause", wrong).await;
    assert_eq!(refused.status, 400, "{refused:?}");
    for problem in [
        format!("--topic none: {group} consumes no such topic; it consumes "),
        format!("--handler nobody: there is no such handler of {group}; there are obey"),
        "--topic and --handler: a pause is about one of the two".to_owned(),
        "wait: \"1h\" is not allowed; allowed is a time such as \"30s\", at most 40s".to_owned(),
        "\"why\": there is no such field; there are reason, service, topic, handler, wait".to_owned(),
    ] {
        let problems = refused.json()["problems"].clone();
        let has = |one: &Value| one.as_str().unwrap().starts_with(&problem);
        assert!(problems.as_array().unwrap().iter().any(has), "{problem} in {problems:#}");
    }
    for (order, problem) in [
        (json!({}), format!("service: say which; there are {group}")),
        (
            json!({ "service": "nobody" }),
            format!("--service nobody: there is no such service; there are {group}"),
        ),
        (
            json!({ "service": group, "all": true, "handler": "obey" }),
            "--all is everything of a service; leave out --topic and --handler".to_owned(),
        ),
    ] {
        let refused = desk.order("/resume", order).await;
        assert_eq!((refused.status, refused.json()["problems"].clone()), (400, json!([problem])));
    }

    drop(desk);
    let desk = Desk::with(1, &[("TOPICS__CONTROL", "off")]).await;
    let refused = desk.order("/pause", json!({ "service": desk.pods.group })).await;
    assert_eq!(refused.status, 409, "{refused:?}");
    assert!(refused.body.contains("nothing was done: topics.control is"), "{refused:?}");
    let fleet = desk.json("/fleet").await;
    assert!(fleet["unknown"].as_str().unwrap().contains("so no pod says how it is"), "{fleet}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_control_topic_the_page_says_so_and_nothing_is_paused() {
    let mut desk = Desk::of(1).await;
    desk.service("a start", |service| service["state"] == "working").await;
    desk.worker.terminate();
    desk.worker.wait(PATIENCE).await;
    TestTopic::named(&format!("{}.control", desk.topic.name())).delete().await;
    desk.worker = desk.pods.clone().with("TOPICS__CREATE", "false").start(TEST_WORKER);
    let is_missing = async || match desk.json("/fleet").await["unknown"].as_str() {
        Some(why) if why.contains("does not exist, so nothing is paused") => Ok(()),
        other => Err(other.map(str::to_owned)),
    };
    until("the admin API", PATIENCE, async || get(desk.port, "/").await.map_err(|_| desk.worker.output()))
        .await;
    until("the topic to be missed", PATIENCE, is_missing).await;
    let refused = desk.order("/pause", json!({ "service": desk.pods.group })).await;
    assert_eq!(refused.status, 409, "{refused:?}");
    assert!(refused.body.contains("kafka-topics.sh --create"), "{refused:?}");
    let browser = desk.console(DESKTOP, "light").await;
    browser.shows("#fleet", |text| text.contains("does not exist, so nothing is paused")).await;
    press_on(&browser, "#fleet [data-key=pause]").await;
    press_on(&browser, "dialog [type=submit]").await;
    browser.shows("dialog .refused", |text| text.contains("kafka-topics.sh --create")).await;
}
