//! The control topic is away, gone or damaged.

use serde_json::json;

use super::{PATIENCE, Shop};
use crate::{
    TEST_WORKER,
    support::{
        free_ports, http,
        kafka::{Record, TestTopic},
        kafka_server::KafkaServer,
        wait::until,
    },
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_outlives_a_broker_and_what_was_known_last_holds_meanwhile() {
    let mut kafka = KafkaServer::start().await;
    let topic = TestTopic::at(&kafka.brokers(), "events");
    topic.create(1, &[]).await;
    let shop = Shop::on(topic);
    let mut pod = shop.pods.start(TEST_WORKER);
    shop.has_pods(1).await;
    shop.pause(&[]).await;
    shop.deliver(0..10).await;
    kafka.kill();
    kafka.start_again().await;
    shop.deliver(10..20).await;
    until("the pod to report again", PATIENCE, async || {
        let status = shop.status().await;
        let pod = &status["pods"][0];
        if pod["heard_seconds"].as_i64() < Some(5) && pod["trouble"] == json!([]) {
            Ok(())
        } else {
            Err(status)
        }
    })
    .await;
    assert_eq!(shop.pods.attempts().all(), []);
    shop.resume(&[]).await;
    shop.pods.commit(&shop.topic, 20, PATIENCE).await;
    shop.each_took_effect_once(20);
    assert_eq!(pod.ended(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_control_topic_that_is_gone_ends_nothing_and_one_that_is_made_again_is_heeded() {
    let shop = Shop::new(1).await;
    let _pod = shop.pods.start(TEST_WORKER);
    shop.has_pods(1).await;
    shop.pause(&[]).await;
    shop.control.delete().await;
    let (code, said) = shop.act(&["status"]).await;
    assert_eq!(code, Some(0), "{said}");
    let unknown = said["unknown"].as_str().unwrap();
    assert!(unknown.contains("does not exist") && unknown.contains("check --create"), "{said}");
    shop.deliver(0..5).await;
    // Whoever acts makes it again; the pod is found there, and what it holds, too.
    until("the pod to be found again", 2 * PATIENCE, async || {
        let (code, said) = shop.act(&["pause", "--service", &shop.pods.group, "--wait", "5s"]).await;
        let pods = said["pods"].as_array().map_or(0, Vec::len);
        if (code, pods) == (Some(0), 1) { Ok(()) } else { Err(said) }
    })
    .await;
    assert_eq!(shop.pods.attempts().all(), [], "what was known last holds");
    shop.resume(&[]).await;
    shop.pods.commit(&shop.topic, 5, PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_damaged_or_unknown_is_left_aside_and_said_once() {
    let shop = Shop::new(1).await;
    shop.control.create(1, &[("cleanup.policy", "compact")]).await;
    let key = format!("pause/{}", shop.pods.group);
    let damaged = [
        Record::new(key.clone(), "{"),
        Record::new(key.clone(), r#"{"v":2,"id":"a"}"#),
        Record::new(key.clone(), "x".repeat(100_000)),
        Record::new("run/anything", r#"{"v":1}"#),
    ];
    shop.control.produce_all(damaged).await;
    let mut pod = shop.pods.start(TEST_WORKER);
    shop.deliver(0..5).await;
    shop.pods.commit(&shop.topic, 5, PATIENCE).await;
    let said = pod.output().matches("is left aside").count();
    assert_eq!(said, 1, "{}", pod.output());
    shop.has_pods(1).await;
    shop.pause(&[]).await;
    assert_eq!(pod.ended(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_control_topic_work_goes_on_and_pausing_says_why_it_cannot() {
    let shop = Shop::new(1).await;
    let mut check = shop.pods.command(TEST_WORKER, &["check", "--create"]);
    check.wait(PATIENCE).await;
    shop.control.delete().await;
    let without = shop.pods.clone().with("TOPICS__CREATE", "false");
    let mut pod = without.start(TEST_WORKER);
    shop.deliver(0..5).await;
    shop.pods.commit(&shop.topic, 5, PATIENCE).await;
    assert!(pod.output().contains("without it nothing can be paused"), "{}", pod.output());
    let (code, said) = shop.act_with(&without, &["pause", "--service", &shop.pods.group]).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said["error"].as_str().unwrap().contains("kafka-topics.sh --create"), "{said}");
    // Once it is there it is heard.
    shop.control.create(1, &[("cleanup.policy", "compact")]).await;
    until("the pod to report", PATIENCE, async || {
        let status = shop.status().await;
        if status["pods"].as_array().unwrap().len() == 1 { Ok(()) } else { Err(status) }
    })
    .await;
    shop.pause(&[]).await;
    assert_eq!(pod.ended(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_group_with_a_partition_that_nobody_leads_what_is_known_is_told() {
    let kafka = KafkaServer::start().await;
    let mut second = kafka.start_a_second().await;
    let topic = TestTopic::at(&kafka.brokers(), "events");
    topic.create_led_by(1, &[1], &[]).await;
    let mut shop = Shop::on(topic);
    let compacted = [("cleanup.policy", "compact")];
    // Nothing else is on the broker that is to die.
    shop.control.create_led_by(1, &[1], &compacted).await;
    TestTopic::at(&kafka.brokers(), "__consumer_offsets").create_led_by(4, &[1], &compacted).await;
    shop.audit.create_led_by(1, &[1], &[("retention.ms", "-1")]).await;
    let api = free_ports(1);
    shop.pods = shop.pods.clone().with("RETRY__LATER", "10m").with("RETRY__BUDGET", "1h");
    let later = TestTopic::at(&kafka.brokers(), &format!("events.{}.retry.10m", shop.pods.group));
    let letters = [("retention.ms", "-1"), ("max.message.bytes", "8454144")];
    later.create_led_by(1, &[2], &letters).await;
    let _pod = shop
        .pods
        .clone()
        .with("ADMIN__LISTEN", &format!("127.0.0.1:{api}"))
        .with("ADMIN__TOKEN", "0123456789abcdef-of-a-fleet")
        .start(TEST_WORKER);
    shop.has_pods(1).await;
    shop.pause(&[]).await;
    shop.deliver(0..5).await;
    second.kill();
    let why = format!("partition 0 of {}: no broker leads it", later.name());
    let fleet = async || {
        let bearer = [("authorization", "Bearer 0123456789abcdef-of-a-fleet")];
        http::ask(api, "GET", "/api/v1/fleet", &bearer, "").await.unwrap()
    };
    until("Kafka to miss it", PATIENCE, async || {
        let answer = fleet().await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let service = answer.json()["services"][0].clone();
        let is_known = service["lag"] == 5 && service["pods"].as_array().unwrap().len() == 1;
        let is_said = service["lag_unknown"] == json!([why]);
        if is_known && is_said { Ok(()) } else { Err(service) }
    })
    .await;
    let (code, said) = shop.act(&["status", "--service", &shop.pods.group]).await;
    let service = &said["services"][0];
    assert_eq!((code, &service["lag"], &service["lag_unknown"]), (Some(1), &json!(5), &json!([why])));
    assert_eq!(
        (&service["partitions"][0]["lag"], &service["partitions"][1]["end"]),
        (&json!(5), &json!(null))
    );
    assert_eq!(service["paused"].as_array().unwrap().len(), 1, "{said}");
    let mut status = shop.pods.command(TEST_WORKER, &["status"]);
    assert_eq!(status.wait(PATIENCE).await.code(), Some(1));
    let told = status.output();
    assert!(told.contains("5 records wait in 2 partitions, as far as is known"), "{told}");
    assert!(told.contains(&format!("not known: {why}")) && told.contains("paused: everything"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_begins_while_it_is_not_known_what_is_paused() {
    let kafka = KafkaServer::start().await;
    let mut second = kafka.start_a_second().await;
    let topic = TestTopic::at(&kafka.brokers(), "events");
    topic.create_led_by(1, &[1], &[]).await;
    let shop = Shop::on(topic);
    shop.control.create_led_by(1, &[2], &[("cleanup.policy", "compact")]).await;
    second.kill();
    until("Kafka to miss it", PATIENCE, async || match shop.control.partitions().await {
        Ok(0) => Ok(()),
        other => Err(other),
    })
    .await;
    shop.deliver(0..5).await;
    let port = free_ports(1);
    let mut pod = shop.pods.clone().with("HTTP__LISTEN", &format!("127.0.0.1:{port}")).start(TEST_WORKER);
    pod.says(": assigned ", PATIENCE).await;
    pod.says("nothing begins, for what is paused is not known", PATIENCE).await;
    until("the probe to say so", PATIENCE, async || match http::get(port, "/readyz").await {
        Ok((503, body)) if body.contains("nothing begins: the control topic") => Ok(()),
        other => Err(other),
    })
    .await;
    assert_eq!(shop.pods.attempts().all(), []);
    second.start_again().await;
    shop.pods.commit(&shop.topic, 5, PATIENCE).await;
    until("the pod to be ready", PATIENCE, async || match http::get(port, "/readyz").await {
        Ok((200, _)) => Ok(()),
        other => Err(other),
    })
    .await;
    shop.each_took_effect_once(5);
    assert_eq!(pod.ended(), None);
}
