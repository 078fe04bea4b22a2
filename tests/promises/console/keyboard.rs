//! A page used without a mouse.

use serde_json::{Value, json};

use super::{PATIENCE, browser::Browser};
use crate::support::wait::until;

/// Keys, by their numbers in WebDriver.
pub(super) const TAB: &str = "\u{e004}";
pub(super) const ENTER: &str = "\u{e007}";
const ESCAPE: &str = "\u{e00c}";

/// Goes to a control and presses it. The page may change in between: the key is to arrive at the control all the same.
pub(super) async fn press_on(browser: &Browser, control: &str) {
    focus(browser, control).await;
    let listens = "window.arrived = 'nowhere';
        const here = () => document.activeElement === document.querySelector(arguments[0]);
        addEventListener('keydown', (event) => { window.arrived = here() || event.target.outerHTML; },
            { capture: true, once: true })";
    browser.run(listens, json!([control])).await;
    browser.press(ENTER).await;
    let arrived = browser.run("return window.arrived", json!([])).await;
    assert_eq!(arrived, Value::Bool(true), "the key did not arrive at {control}");
}

/// Closes the dialog. It has gone when this returns, and has given the focus back.
pub(super) async fn escape(browser: &Browser) {
    browser.press(ESCAPE).await;
    until("the dialog to go", PATIENCE, async || browser.text("dialog").await.map_or(Ok(()), Err)).await;
}

/// Goes to a control, as soon as it is there.
pub(super) async fn focus(browser: &Browser, control: &str) {
    let script = "const one = document.querySelector(arguments[0]); one?.focus();
        return one !== null && document.activeElement === one";
    until(control, PATIENCE, async || {
        let is_there = browser.run(script, json!([control])).await == true;
        if is_there { Ok(()) } else { Err(browser.text("body").await) }
    })
    .await;
}
