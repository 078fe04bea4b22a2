//! Whoever is at something of the page keeps their place while it is brought up to date.

use serde_json::{Value, json};

use super::{
    Desk,
    browser::Browser,
    keyboard::{ENTER, escape, focus, press_on},
    page::DESKTOP,
};

/// Asks for everything at once, and waits until the page has been brought up to date so often.
async fn refreshes(browser: &Browser, times: u32) {
    for _ in 0..times {
        let before = browser.text("#fresh").await;
        browser.run("document.dispatchEvent(new Event('acted'))", json!([])).await;
        browser.shows("#fresh", |now| Some(now) != before.as_deref()).await;
    }
}

/// Where the focus is: at the element that was marked, or at which other.
async fn place(browser: &Browser) -> Value {
    let script = "const one = document.activeElement; return one.mine ? 'mine' : one.outerHTML.slice(0, 120)";
    browser.run(script, json!([])).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_focus_stays_where_it_is_while_the_page_is_brought_up_to_date() {
    let desk = Desk::of(1).await;
    desk.events(0, 3, r#","reject":true"#).await;
    desk.events(3, 6, "").await;
    desk.service("the letters", |service| service["records"]["dead_lettered"] == 3).await;
    let browser = desk.console(DESKTOP, "light").await;
    browser.shows("#letters", |text| text.contains("rejected as ordered")).await;
    browser.shows("#fleet", |text| text.contains("working")).await;
    browser.shows("#replays", |text| text.contains("No replays")).await;
    let controls = [
        "#letters [data-act=redrive]",
        "#letters .scroll",
        "#fleet [data-key=pause]",
        "#fleet .scroll",
        "#services details[open] .scroll",
    ];
    let (mut events, mut letters) = (6, 3);
    for control in controls {
        focus(&browser, control).await;
        browser.run("document.activeElement.mine = true", json!([])).await;
        // All that it stands in changes meanwhile: counts, ages, and one more letter of the same cause.
        desk.events(events, events + 1, r#","reject":true"#).await;
        desk.events(events + 1, events + 2, "").await;
        (events, letters) = (events + 2, letters + 1);
        desk.service("a further letter", |service| service["records"]["dead_lettered"] == letters).await;
        refreshes(&browser, 3).await;
        let counted = format!("rejected\t{letters}\t");
        browser.shows("#letters", |text| text.contains(&counted)).await;
        assert_eq!(place(&browser).await, "mine", "after {control} was brought up to date");
        browser.run("delete document.activeElement.mine", json!([])).await;
    }
    // What goes away takes nobody to the top of the page.
    focus(&browser, "#letters [data-act=redrive]").await;
    let all = json!({ "all": true });
    let discarded = desk.order(&format!("/dead-letters/{}/discard", desk.pods.group), all).await;
    assert_eq!(discarded.status, 200, "{discarded:?}");
    refreshes(&browser, 1).await;
    browser.shows("#letters", |text| text.contains("No dead letters wait")).await;
    let near = place(&browser).await;
    assert!(near.as_str().is_some_and(|near| near.starts_with("<h2 id=\"letters-title\"")), "{near}");
    assert_eq!(browser.complaints().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_gives_the_focus_back_and_a_refusal_keeps_it() {
    let desk = Desk::of(1).await;
    let browser = desk.console(DESKTOP, "light").await;
    press_on(&browser, "#fleet [data-key=pause]").await;
    browser.shows("dialog h2", |text| text.starts_with("Pause ")).await;
    focus(&browser, "dialog [type=submit]").await;
    refreshes(&browser, 2).await;
    let inside = "return document.activeElement.matches('dialog [type=submit]')";
    assert_eq!(browser.run(inside, json!([])).await, true, "the page behind it has taken the focus");
    // The worker has gone meanwhile: that is said where the question is.
    drop(desk.worker);
    browser.press(ENTER).await;
    browser.shows("dialog .refused", |text| text == "the worker does not answer").await;
    assert_eq!(browser.run(inside, json!([])).await, true, "a refusal has taken the focus");
    escape(&browser).await;
    let back = "return document.activeElement.matches('#fleet [data-key=pause]')";
    assert_eq!(browser.run(back, json!([])).await, true, "{}", place(&browser).await);
    // What was known last stays.
    browser.shows("#fleet-note", |text| text.contains("the worker does not answer")).await;
    browser.shows("#fleet", |text| text.contains(&desk.pods.group)).await;
}
