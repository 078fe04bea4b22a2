//! What a pause is about, and what it leaves alone.

use serde_json::{Value, json};

use super::{PATIENCE, Shop};
use crate::{
    TEST_WORKER,
    support::{
        kafka::{Record, TestTopic},
        unique,
        wait::until,
    },
};

/// A second service of the same pods.
async fn with_another(shop: &mut Shop) -> (String, TestTopic) {
    let (name, topic) = (unique("other").replace(['-', '.'], "_"), TestTopic::new(1).await);
    shop.pods = shop.pods.clone().and(&name, topic.name());
    (name, topic)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_leaves_other_services_alone() {
    let mut shop = Shop::new(1).await;
    let (_, other) = with_another(&mut shop).await;
    let _pod = shop.pods.start(TEST_WORKER);
    shop.has_pods(1).await;
    shop.pause(&[]).await;
    shop.deliver(0..5).await;
    other.produce(Record::new("x", r#"{"id":"x"}"#)).await;
    shop.effects(1).await;
    assert_eq!(shop.pods.attempts().counts(), [("x".to_owned(), 1)].into());
    shop.resume(&[]).await;
    shop.effects(6).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_of_one_topic_leaves_the_others_and_resume_takes_away_only_what_it_names() {
    let mut shop = Shop::new(1).await;
    let (name, other) = with_another(&mut shop).await;
    let _pod = shop.pods.start(TEST_WORKER);
    shop.has_pods(1).await;
    let topic = shop.topic.name().to_owned();
    shop.pause(&["--topic", &topic]).await;
    shop.deliver(0..3).await;
    other.produce(Record::new("x", r#"{"id":"x"}"#)).await;
    shop.effects(1).await;
    let status = shop.status().await;
    assert_eq!(status["paused"][0]["topic"], json!(topic), "{status}");
    // Everything is another scope, and is not paused.
    let (code, said) = shop.act(&["resume", "--service", &shop.pods.group]).await;
    assert_eq!((code, &said["scopes"]), (Some(1), &json!([])), "{said}");
    assert_eq!(said["paused"][0]["topic"], json!(topic), "it says what is: {said}");
    assert_eq!(shop.pods.attempts().all().len(), 1);
    // Two pauses of one topic: it goes on when both are gone.
    shop.pause(&[]).await;
    shop.resume(&["--topic", &topic]).await;
    assert_eq!(shop.pods.attempts().all().len(), 1);
    shop.pause(&["--topic", &topic]).await;
    let said = shop.resume(&["--all"]).await;
    assert_eq!(said["scopes"].as_array().unwrap().len(), 2, "{said}");
    shop.effects(4).await;
    for (args, text) in [
        (["--service", "nobody", "--topic", "a"], "there is no such service"),
        (["--service", name.as_str(), "--topic", topic.as_str()], "consumes no such topic"),
    ] {
        let mut worker = shop.pods.command(TEST_WORKER, &[&["pause"], &args[..]].concat());
        assert_eq!(worker.wait(PATIENCE).await.code(), Some(2), "{}", worker.output());
        assert!(worker.output().contains(text), "{}", worker.output());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_a_place_gives_its_claim_back_uncounted() {
    let mut shop = Shop::new(1).await;
    shop.pods = shop.pods.clone().with("WORKER__CONCURRENCY", "1");
    let door = shop.pods.door("first");
    let event = |id: &str| Record::new(id, format!(r#"{{"id":"{id}"{}}}"#, door.order()));
    shop.topic.produce_all([event("first"), event("second"), event("third")]).await;
    let _pod = shop.pods.start(TEST_WORKER);
    let show = async |key: &str| -> Value {
        let args = ["dedupe", "show", "--service", &shop.pods.group, "--handler", "obey", key];
        shop.act(&args).await.1
    };
    until("the others to wait with claims", PATIENCE, async || match show("third").await {
        shown if shown["state"] == "claimed" => Ok(()),
        shown => Err(shown),
    })
    .await;
    shop.pause(&[]).await;
    door.open();
    shop.effects(1).await;
    until("claims to be given back", PATIENCE, async || {
        let shown = [show("second").await, show("third").await];
        if shown.iter().all(|shown| shown["state"] == "free") { Ok(()) } else { Err(shown) }
    })
    .await;
    shop.resume(&[]).await;
    shop.pods.commit(&shop.topic, 3, PATIENCE).await;
    shop.each_took_effect_once(3);
    assert_eq!(shop.pods.attempts().all().len(), 3, "no attempt was spent");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_of_one_handler_leaves_the_others_of_its_topic() {
    let topic = TestTopic::new(1).await;
    let mut shop = Shop::on(topic);
    let (name, typed) = (unique("typed").replace(['-', '.'], "_"), TestTopic::new(1).await);
    shop.pods = shop.pods.clone().and(&name, &format!("{}=types", typed.name()));
    let mut pod = shop.pods.start(TEST_WORKER);
    shop.has_pods(1).await;
    let pause = ["pause", "--service", &name, "--handler", "create"];
    let (code, said) = shop.act(&pause).await;
    assert_eq!(code, Some(0), "{said}");
    let record = |id: u32, kind: &str| {
        Record::new(format!("{kind}-{id}"), format!(r#"{{"id":"{id}"}}"#))
            .header("ce_type", format!("thing.{kind}"))
    };
    let records = (0..5).flat_map(|id| ["created", "closed"].map(|kind| record(id, kind)));
    typed.produce_all(records.collect::<Vec<_>>()).await;
    shop.effects(5).await;
    let effects = shop.pods.effects().counts();
    assert!(effects.keys().all(|effect| effect.starts_with("close-")), "{effects:?}");
    let (code, said) = shop.act(&["resume", "--service", &name, "--handler", "create"]).await;
    assert_eq!(code, Some(0), "{said}");
    shop.effects(10).await;
    shop.each_took_effect_once(10);
    assert_eq!(pod.ended(), None);
    let both = ["pause", "--service", &name, "--handler", "creat", "--topic", typed.name()];
    let mut worker = shop.pods.command(TEST_WORKER, &both);
    assert_eq!(worker.wait(PATIENCE).await.code(), Some(2), "{}", worker.output());
    assert!(worker.output().contains("there are create, close"), "{}", worker.output());
    assert!(worker.output().contains("a pause is about one of the two"), "{}", worker.output());
}
