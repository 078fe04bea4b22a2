//! The console in a browser: it shows what the worker says, anybody can use it, and it does what it offers.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::{
    Desk, PATIENCE, TOKEN,
    browser::Browser,
    keyboard::{ENTER, TAB, escape, press_on},
};
use crate::support::{
    http::ask,
    kafka::{Record, group_lag},
    repository, service,
    wait::until,
};

pub(super) const DESKTOP: (u32, u32) = (1280, 900);
pub(super) const PHONE: (u32, u32) = (360, 780);

impl Desk {
    /// The console, with the token given by keyboard alone.
    pub(super) async fn console(&self, (width, height): (u32, u32), scheme: &str) -> Browser {
        let browser = Browser::start().await;
        browser.look_like(width, height, scheme).await;
        browser.open(&format!("http://127.0.0.1:{}/", self.port)).await;
        browser.shows("#enter", |text| text.contains("Token")).await;
        browser.press(TOKEN).await;
        browser.press(ENTER).await;
        browser.shows("#services", |text| text.contains(&self.pods.group)).await;
        browser
    }

    /// Something of everything: done, refused, failed and waiting events, and a replay.
    async fn is_busy(&self) {
        self.events(0, 300, "").await;
        self.events(0, 40, "").await;
        self.events(300, 303, r#","reject":true"#).await;
        self.events(303, 306, r#","fail":1"#).await;
        self.events(306, 307, r#","sleep_ms":600000"#).await;
        self.events(307, 320, "").await;
        self.service("all but one to be settled", |service| {
            service["consumed"] == 360 && service["in_flight"] == 1
        })
        .await;
        let order = json!({ "from": "1h ago", "to": "now", "partitions": "1" }).to_string();
        assert_eq!(self.ask("POST", "/replays", &[super::JSON], &order).await.status, 202);
    }
}

/// What axe-core finds wrong with the page, in short.
pub(super) async fn violations(browser: &Browser) -> Vec<String> {
    let axe = std::fs::read_to_string(service("ONCEWISE_TEST_AXE")).unwrap();
    browser.run(&format!("{axe};window.axe = axe;"), json!([])).await;
    let script = "axe.run(document, { resultTypes: ['violations'] }).then(arguments[0], (error) => arguments[0](String(error)))";
    let found = browser.run_async(script, json!([])).await;
    assert!(found["passes"].as_array().is_some_and(|passes| passes.len() > 15), "it has not looked: {found}");
    let violations = found["violations"].as_array().unwrap().iter();
    violations.map(|rule| format!("{}: {}", rule["id"], rule["nodes"])).collect()
}

/// Whether something reaches beyond the width of the screen.
pub(super) async fn is_too_wide(browser: &Browser) -> bool {
    browser.run("return document.documentElement.scrollWidth > window.innerWidth", json!([])).await == true
}

/// Keeps a picture for people, below `target/console`.
pub(super) async fn keep(browser: &Browser, name: &str) {
    let folder: PathBuf = repository().join("target/console");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(format!("{name}.png")), browser.picture().await).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_console_shows_what_kafkas_own_tools_say() {
    let desk = Desk::of(3).await;
    desk.is_busy().await;
    desk.service("all that is done to be committed", |service| service["lag_records"] == 5).await;
    let browser = desk.console(DESKTOP, "light").await;
    let told = group_lag(&desk.pods.group).await;
    let lag: i64 = told.iter().map(|partition| partition.lag.unwrap()).sum();
    assert!(lag > 0 && told.len() == 3, "{told:?}");
    browser.shows("[data-value=lag]", |text| text == lag.to_string()).await;
    browser.shows("[data-value=in-flight]", |text| text == "1").await;
    browser
        .run("document.querySelectorAll('details').forEach((one) => { one.open = true; })", json!([]))
        .await;
    let rows = "return [...document.querySelectorAll('table')]
        .find((table) => table.caption.textContent.startsWith('Partitions'))
        .querySelectorAll('tbody tr').values().map((row) => [...row.cells].map((cell) => cell.innerText)).toArray()";
    until("the table of partitions to be as Kafka has them", PATIENCE, async || {
        let rows = browser.run(rows, json!([])).await;
        let ours: Vec<Vec<&str>> = rows
            .as_array()
            .unwrap()
            .iter()
            .map(|row| [1, 7, 6, 2].iter().map(|cell| row[*cell].as_str().unwrap().trim()).collect())
            .collect();
        let kafkas: Vec<Vec<String>> = told
            .iter()
            .map(|told| {
                let numbers =
                    [i64::from(told.partition), told.end, told.committed.unwrap(), told.lag.unwrap()];
                numbers.iter().map(ToString::to_string).collect()
            })
            .collect();
        if kafkas == ours { Ok(()) } else { Err((kafkas, rows)) }
    })
    .await;
    browser
        .shows("#summary", |text| text.starts_with("Worth a look") || text.starts_with("All is well"))
        .await;
    // The minute may be over for those before.
    desk.events(320, 323, r#","reject":true"#).await;
    browser.shows("#findings", |text| text.contains(" events were dead-lettered in the last minute")).await;
    assert_eq!(browser.complaints().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn anybody_can_use_the_console_on_any_screen() {
    let desk = Desk::of(2).await;
    desk.is_busy().await;
    let browser = desk.console(DESKTOP, "light").await;
    browser.shows("#replays", |text| text.contains("finished")).await;
    browser.shows("#letters", |text| text.contains("rejected as ordered")).await;
    browser.shows("#fleet", |text| text.contains("working")).await;
    browser
        .run("document.querySelectorAll('details').forEach((one) => { one.open = true; })", json!([]))
        .await;
    for (name, (width, height)) in [("desktop", DESKTOP), ("phone", PHONE)] {
        for scheme in ["light", "dark"] {
            browser.look_like(width, height, scheme).await;
            let found = violations(&browser).await;
            assert!(found.is_empty(), "{name}, {scheme}: {found:#?}");
            assert!(!is_too_wide(&browser).await, "{name} has to be scrolled sideways");
            keep(&browser, &format!("{name}-{scheme}")).await;
        }
    }
    // Every control is reached by keyboard, and can be seen to be.
    let controls = "return [...document.querySelectorAll('button, input, summary, a, [tabindex=\"0\"]')]
        .filter((one) => one.checkVisibility()).length";
    let controls = browser.run(controls, json!([])).await.as_u64().unwrap();
    assert!(controls > 5, "{controls}");
    let focused = "const one = document.activeElement;
        window.reached = (window.reached ?? new Set()).add(one);
        return [window.reached.has(document.body) ? window.reached.size - 1 : window.reached.size,
            one === document.body || getComputedStyle(one).outlineStyle !== 'none', one.outerHTML.slice(0, 80)]";
    let mut reached = 0;
    for _ in 0..controls + 2 {
        browser.press(TAB).await;
        let now = browser.run(focused, json!([])).await;
        assert_eq!(now[1], true, "no one sees the focus on {now}");
        reached = now[0].as_u64().unwrap();
    }
    assert_eq!(reached, controls, "controls that the keyboard does not reach");
    assert_eq!(browser.complaints().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_and_a_cancel_go_by_the_keyboard_and_are_confirmed() {
    let desk = Desk::of(1).await;
    desk.events(0, 600, "").await;
    desk.service("all to be settled", |service| service["records"]["done"] == 600).await;
    let browser = desk.console(DESKTOP, "dark").await;
    press_on(&browser, "#dry-run").await;
    browser.shows("dialog h2", |text| text == "What would a replay do?").await;
    assert_eq!(violations(&browser).await, [""; 0]);
    escape(&browser).await;
    press_on(&browser, "#dry-run").await;
    press_on(&browser, "dialog [type=submit]").await;
    let found = browser.shows("dialog", |text| text.contains("What a replay would do")).await;
    assert!(found.contains("already done\t600"), "{found}");
    escape(&browser).await;

    // One that takes ten minutes.
    let order = json!({ "from": "1h ago", "to": "now", "mode": "force", "epoch": "again", "rate": 1 });
    let begun = desk.ask("POST", "/replays", &[super::JSON], &order.to_string()).await.json();
    let id = begun["id"].as_str().unwrap();
    press_on(&browser, "#replays button").await;
    browser.shows("dialog", |text| text.contains(id)).await;
    press_on(&browser, "dialog [type=submit]").await;
    browser.shows("#told", |text| text.contains("was told to stop")).await;
    let is_stopped = async || {
        let shown = desk.json(&format!("/replays/{id}")).await;
        if shown["state"] == "stopped" { Ok(()) } else { Err(shown) }
    };
    until("the replay to stop", PATIENCE, is_stopped).await;
    let acts = desk.acts().await;
    let cancelled = acts.iter().any(|act| act["verb"] == "replay cancel" && act["who"] == "api@127.0.0.1");
    assert!(cancelled, "{acts:#?}");
    assert_eq!(browser.complaints().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_are_shown_by_their_causes_and_dealt_with_after_a_question() {
    let desk = Desk::of(1).await;
    desk.events(0, 3, r#","reject":true"#).await;
    desk.topic.produce_all((0..2).map(|n| Record::new(format!("key-{n}"), "no JSON").to(0))).await;
    desk.service("the letters", |service| service["records"]["dead_lettered"] == 5).await;
    let browser = desk.console(DESKTOP, "light").await;
    let letters = browser.shows("#letters", |text| text.contains("undecodable")).await;
    assert!(letters.contains("rejected as ordered\tobey\trejected\t3\t"), "{letters}");
    assert_eq!(violations(&browser).await, [""; 0]);
    keep(&browser, "letters").await;
    press_on(&browser, "#letters tr:nth-child(1) [data-act=records]").await;
    let records = browser.shows("dialog", |text| text.contains("Letters of this cause")).await;
    assert!(!records.contains("event-"), "nobody has asked for a payload: {records}");
    // Events of different keys may become letters in any order.
    let record = browser.text("dialog tbody tr:nth-child(1) td").await.unwrap();
    let offset = record.rsplit(':').next().unwrap();
    press_on(&browser, "dialog tr:nth-child(1) button").await;
    let payload = format!(r#"{{"id":"event-{offset}","reject":true}}"#);
    browser.shows("dialog", |text| text.contains(&payload)).await;
    assert_eq!(violations(&browser).await, [""; 0]);
    escape(&browser).await;

    press_on(&browser, "#letters tr:nth-child(1) [data-act=discard]").await;
    browser.shows("dialog", |text| text.contains("This would be: 3 discarded")).await;
    press_on(&browser, "dialog [type=submit]").await;
    browser.shows("#told", |text| text.contains("3 discarded")).await;
    browser.shows("#letters", |text| !text.contains("rejected as ordered")).await;
    press_on(&browser, "#letters tr:nth-child(1) [data-act=redrive]").await;
    browser.shows("dialog", |text| text.contains("This would be: 2 redriven")).await;
    press_on(&browser, "dialog [type=submit]").await;
    browser.shows("#told", |text| text.contains("2 redriven")).await;
    // They cannot be decoded this time, either.
    desk.service("the letters to be back", |service| service["records"]["dead_lettered"] == 7).await;
    // The end of the transaction has an offset, so there is a lag; it is no record, so nothing waits.
    desk.service("the end of the log to be told", |service| {
        let partitions = service["partitions"].as_array().unwrap();
        let is_it = |one: &&Value| one["topic"].as_str().is_some_and(|topic| topic.ends_with(".redrive"));
        let redriven = partitions.iter().find(is_it);
        redriven.is_some_and(|one| one["lag_records"] == 1 && one["oldest_unsettled_seconds"] == 0.0)
    })
    .await;
    let acts = desk.acts().await;
    let acts: Vec<_> = acts.iter().map(|act| (&act["verb"], &act["who"], &act["outcome"])).collect();
    let (who, discard, redrive) =
        (json!("api@127.0.0.1"), json!("dead-letters discard"), json!("dead-letters redrive"));
    let (intended, done) = (json!("intended"), json!("done"));
    let wanted = [&discard, &redrive].map(|verb| [(verb, &who, &intended), (verb, &who, &done)]).concat();
    assert_eq!(acts, wanted);
    assert_eq!(browser.complaints().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_holds_no_data_and_keeps_the_token_to_itself() {
    let desk = Desk::of(1).await;
    for path in ["/", "/console.js", "/console.css"] {
        let answer = ask(desk.port, "GET", path, &[], "").await.unwrap();
        assert_eq!(answer.status, 200, "{path}");
        for header in [
            "content-security-policy: default-src 'none'; ",
            "frame-ancestors 'none'",
            "x-content-type-options: nosniff",
            "cache-control: no-store",
            "referrer-policy: no-referrer",
        ] {
            assert!(answer.head.contains(header), "{path}: {header} in {}", answer.head);
        }
        assert!(!answer.body.contains(&desk.pods.group), "{path}");
    }
    let browser = Browser::start().await;
    browser.open(&format!("http://127.0.0.1:{}/", desk.port)).await;
    browser.shows("#enter", |text| text.contains("Token")).await;
    assert_eq!(violations(&browser).await, [""; 0]);
    browser.press(&format!("{TOKEN}x{ENTER}")).await;
    browser.shows("#refused", |text| text == "This is not the token of this worker.").await;
    // That one refusal is the browser's to tell, too.
    assert_eq!(browser.complaints().await.len(), 1);
    browser.press(&format!("{TOKEN}{ENTER}")).await;
    browser.shows("#services", |text| text.contains(&desk.pods.group)).await;
    let kept =
        browser.run("return [location.href, document.cookie, JSON.stringify(localStorage)]", json!([])).await;
    assert!(!kept.to_string().contains(TOKEN), "{kept}");
    let asked = "return JSON.stringify(performance.getEntriesByType('resource').map((one) => one.name))";
    let asked = browser.run(asked, json!([])).await;
    let asked: Vec<String> = serde_json::from_str(asked.as_str().unwrap()).unwrap();
    let own = format!("http://127.0.0.1:{}/", desk.port);
    assert!(asked.len() > 5 && asked.iter().all(|address| address.starts_with(&own)), "{asked:?}");
    assert!(!asked.iter().any(|address| address.contains(TOKEN)), "{asked:?}");

    browser.run("document.getElementById('leave').click()", json!([])).await;
    browser.shows("#enter", |text| text.contains("Token")).await;
    let left = browser.run("return [sessionStorage.length, document.body.innerText]", json!([])).await;
    assert_eq!(left[0], 0);
    assert!(!left.to_string().contains(&desk.pods.group), "{left}");
}
