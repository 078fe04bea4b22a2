//! A quarter of an hour of trouble, in less than one minute.

use std::time::Duration;

use crate::{
    page::Page,
    shop::Shop,
    support::{kafka::brokers, wait::until},
};

#[tokio::test]
async fn trouble_is_practised_as_the_guide_says() {
    let shop = Shop::without_topics();
    let [orders, settled] = shop.topics();
    let page = Page::of("practice.md", shop.shell()).with("localhost:9092", &brokers());
    let mut page = page.with("orders.created", orders).with("payments.settled", settled);
    for _ in 0..2 {
        page.runs("kafka-topics.sh", &["Created topic"]).await;
    }
    page.runs("worker check", &["fine", "does not exist yet"]).await;
    page.goes_on("worker run").await;
    page.runs("worker produce --count 1000", &["1000 records: "]).await;
    page.runs("worker status", &["orders (group ", "payments (group ", "notifications (group ", "works"])
        .await;
    shop.is_done().await;

    page.runs("export ONCEWISE__SHOP__GATEWAY_BUSY_PERCENT=100", &[]).await;
    page.goes_on("worker run").await;
    page.runs("worker produce --count 100", &["100 records: "]).await;
    until("the breaker to open", Duration::from_secs(30), async || {
        let log = page.shell.log();
        if log.contains("the breaker opens") { Ok(()) } else { Err(log) }
    })
    .await;
    page.runs("worker status", &["payments (group "]).await;
    page.runs("curl -s localhost:9464/readyz", &["ok", "breaker"]).await;
    page.runs("worker dedupe show", &["event-8-0", "state "]).await;
    page.runs("unset ONCEWISE__SHOP__GATEWAY_BUSY_PERCENT", &[]).await;
    page.goes_on("worker run").await;
    shop.is_done().await;

    let groups = page.runs("worker dead-letters groups", &["insufficient funds", "undecodable"]).await;
    assert!(!groups.contains("exhausted"), "what waited is no dead letter: {groups}");
    page.runs("worker dead-letters list", &["rejected"]).await;
    page.runs("worker dead-letters show", &["4:0 of ", "oncewise-disposition: "]).await;
    page.runs("worker dead-letters redrive", &["would be"]).await;
    page.runs("worker dead-letters redrive", &["Redrive 1 letter?", "1 redriven"]).await;
    page.runs("worker dead-letters status", &[" 1 redriven"]).await;

    page.runs("worker pause --service payments", &["1 of 1 have paused"]).await;
    page.runs("worker produce --count 200", &["200 records: "]).await;
    page.runs("worker status", &["payments (group ", "paused: everything by ", "practice"]).await;
    page.runs("worker resume --service payments", &["1 of 1 have resumed"]).await;
    shop.is_done().await;

    page.runs("worker replay --service payments", &["would run"]).await;
    page.runs("worker replay --service payments", &["already done"]).await;
    page.ends().await;
}
