//! What is done beside workers that work: looking, pausing, sending letters again.

use crate::{page::Page, shell::Shell, shop::Shop};

/// The group of the letters about what nobody can pay, by its cause.
const NOT_ENOUGH: &str = "cdfdf394";

/// A shell beside a worker that has settled what came ninety minutes ago.
async fn beside_a_worker(shop: Shop) -> Shell {
    shop.past(200, 90).await;
    let mut shell = shop.shell();
    shell.start("worker run").await;
    shop.is_done().await;
    shell
}

#[tokio::test]
async fn the_readme_does_what_it_says() {
    let mut page = Page::of("README.md", beside_a_worker(Shop::new().await).await);
    page.runs("cargo run -- demo", &["Everything adds up"]).await;
    page.leaves("tests/run", "it is what runs this");
    page.runs("worker status", &["payments (group ", "0 records wait", "works"]).await;
    page.runs("worker check", &["fine", "Redis 7"]).await;
    page.runs("worker pause --service payments", &["payments: everything paused", "1 of 1 have paused"])
        .await;
    page.runs("worker dead-letters groups --service payments", &[NOT_ENOUGH, "insufficient funds"]).await;
    let redrive = format!("worker dead-letters redrive --service payments --filter group={NOT_ENOUGH}");
    page.runs(&redrive, &["Redrive 1 letter?", "1 redriven, 0 parked"]).await;
    page.runs("worker replay --service payments", &["would run", "already done", "| all "]).await;
    page.ends().await;
}

#[tokio::test]
async fn alerts_are_dealt_with_as_the_guide_says() {
    let mut page = Page::of("alerts.md", beside_a_worker(Shop::new().await).await);
    page.runs("curl -s POD:9464/readyz", &["ok"]).await;
    page.runs("curl -s POD:9464/livez", &["ok"]).await;
    page.runs("worker check", &["fine", "Redis 7"]).await;
    page.runs("worker dead-letters groups", &[NOT_ENOUGH, "undecodable"]).await;
    page.runs("worker dead-letters show", &["3:0 of ", "open", "oncewise-error: insufficient funds"]).await;
    page.runs("worker dead-letters redrive", &["redriven, 0 parked"]).await;
    page.ends().await;
}

#[tokio::test]
async fn letters_are_dealt_with_as_the_guide_says() {
    let mut page = Page::of("retries.md", beside_a_worker(Shop::new().await).await);
    page.runs("worker dead-letters groups", &[NOT_ENOUGH, "undecodable"]).await;
    page.runs("worker dead-letters list", &["3:0", "rejected", "insufficient funds"]).await;
    page.runs("worker dead-letters show", &["3:0 of ", "\"amount_cents\":"]).await;
    page.runs("worker dead-letters redrive", &["redriven, 0 parked"]).await;
    page.runs("worker dead-letters discard", &["discarded"]).await;
    page.runs("worker dead-letters status", &[" redriven, "]).await;
    page.ends().await;
}

#[tokio::test]
async fn a_service_pauses_as_the_guide_says() {
    let mut page = Page::of("pausing.md", beside_a_worker(Shop::new().await).await);
    page.runs("worker pause --service payments", &["payments: everything paused", "1 of 1 have paused"])
        .await;
    page.runs("worker pause --service notifications --handler", &["send_confirmation", "1 of 1"]).await;
    page.runs("worker pause --service notifications --topic", &["1 of 1 have paused"]).await;
    let said = page.runs("worker status", &["the bank is migrating", "send_confirmation"]).await;
    assert_eq!(said.matches("paused: ").count(), 3, "{said}");
    page.runs("worker resume --service payments", &["payments: everything resumed", "1 of 1"]).await;
    let (_, said) = page.shell.run("worker status").await;
    assert_eq!(said.matches("paused: ").count(), 2, "what was not named stays paused: {said}");
    page.ends().await;
}

#[tokio::test]
async fn the_console_is_opened_as_the_guide_says() {
    let mut page = Page::of("console.md", Shop::new().await.shell());
    page.runs("openssl rand", &[]).await;
    page.runs("export ONCEWISE__ADMIN__TOKEN_FILE", &[]).await;
    page.goes_on("worker run").await;
    page.leaves("kubectl --namespace oncewise port-forward", "no cluster is at hand");
    page.runs("curl -sS -H", &["\"payments\"", "\"partitions\""]).await;
    page.ends().await;
}

#[tokio::test]
async fn programs_do_over_http_what_the_guide_says() {
    // What came before the group began is what a replay of the page runs; it takes some seconds.
    let shop = Shop::new().await.with("WORKER__START_FROM", "latest").with("ADMIN__TOKEN_FILE", "token");
    shop.past(1000, 90).await;
    let mut shell = shop.shell();
    shell.run("openssl rand -hex 32 > token").await;
    shell.start("worker run").await;
    let mut page = Page::of("api.md", shell);
    page.runs("TOKEN=", &[]).await;
    page.runs("api()", &[]).await;
    page.runs("api /status", &["\"services\"", "\"payments\""]).await;
    page.runs("api /series", &["\"payments\""]).await;
    page.runs("api /series/payments/partitions", &["\"partitions\":["]).await;
    page.runs("api /fleet", &["\"payments\"", "\"pods\""]).await;
    page.runs("api /pause", &["the bank is migrating", "\"by_all\":true"]).await;
    page.runs("api /resume", &["\"by_all\":true"]).await;
    page.runs(
        "api /replays -d '{\"service\": \"payments\", \"from\": \"2h ago\", \"to\": \"1h ago\", \"dry_run\"",
        // Of all partitions together; in which of two a repeated order counts as such depends on who is read first.
        &["\"ran\":884"],
    )
    .await;
    page.runs("replay=$(api /replays -d", &[]).await;
    page.runs("api /replays", &["\"running\""]).await;
    page.runs("api \"/replays/$replay\"", &["\"running\""]).await;
    page.runs("api \"/replays/$replay\" -X DELETE", &[]).await;
    page.runs("api /replays -d \"{\\\"resume\\\"", &[]).await;
    page.runs("api /dead-letters/payments", &["\"open\""]).await;
    page.ends().await;
}
