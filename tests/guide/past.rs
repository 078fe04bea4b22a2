//! What has been is run again.

use crate::{page::Page, shop::Shop};

#[tokio::test]
async fn the_past_is_replayed_as_the_guide_says() {
    let shop = Shop::new().await;
    // What came since the time of the page is where the group goes back to.
    for minutes in [180, 90] {
        shop.past(100, minutes).await;
    }
    let mut shell = shop.shell();
    shell.start("worker run").await;
    shop.is_done().await;
    // A group goes back without members only.
    shell.stop().await;
    let mut page = Page::of("replay.md", shell);
    page.runs("worker replay --service payments --from", &["would run", "already done", "already dead"])
        .await;
    page.runs("worker replay --service payments --from", &["already done"]).await;
    page.runs("worker rewind --service payments", &["Move the group back? 0 would run.", "Moved."]).await;
    page.ends().await;
}
