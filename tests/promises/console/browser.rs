//! A browser without a window, driven as WebDriver has it.

use std::{
    io::{Read, Write},
    net::TcpStream,
    process::Command,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::PATIENCE;
use crate::support::{free_ports, http::ask, process::Worker, wait::until};

/// One page of one browser; it ends with this value.
#[derive(Debug)]
pub(super) struct Browser {
    driver: Worker,
    port: u16,
    session: String,
    _profile: TempDir,
}

impl Browser {
    pub(super) async fn start() -> Browser {
        let port = free_ports(1);
        let mut driver = Command::new("chromedriver");
        driver.arg(format!("--port={port}"));
        let driver = Worker::spawn(driver);
        until("the browser's driver", PATIENCE, async || {
            ask(port, "GET", "/status", &[], "").await.map_err(|error| (error, driver.output()))
        })
        .await;
        let profile = tempfile::tempdir().unwrap();
        let mut browser = Browser { driver, port, session: String::new(), _profile: profile };
        // The sandbox wants a user other than root; what is shown is ours.
        let args = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
        ];
        let profile = format!("--user-data-dir={}", browser._profile.path().display());
        let args: Vec<&str> = args.into_iter().chain([profile.as_str()]).collect();
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome", "timeouts": { "script": 120_000 }, "goog:chromeOptions": { "args": args }, "goog:loggingPrefs": { "browser": "ALL" },
        } } });
        let session = browser.post("", wanted).await;
        browser.session = format!("/{}", session["sessionId"].as_str().unwrap());
        browser
    }

    pub(super) async fn open(&self, address: &str) {
        self.post("/url", json!({ "url": address })).await;
    }

    /// What a script returns.
    pub(super) async fn run(&self, script: &str, args: Value) -> Value {
        self.post("/execute/sync", json!({ "script": script, "args": args })).await
    }

    /// What a script hands to the last of its arguments.
    pub(super) async fn run_async(&self, script: &str, args: Value) -> Value {
        self.post("/execute/async", json!({ "script": script, "args": args })).await
    }

    /// The text of the first element, as people see it; nothing where there is none.
    pub(super) async fn text(&self, selector: &str) -> Option<String> {
        let script = "return document.querySelector(arguments[0])?.innerText ?? null";
        self.run(script, json!([selector])).await.as_str().map(str::to_owned)
    }

    /// Waits until the text of an element is so.
    pub(super) async fn shows(&self, selector: &str, is: impl Fn(&str) -> bool) -> String {
        until(&format!("{selector} in the page"), PATIENCE, async || {
            let text = self.text(selector).await;
            text.clone().filter(|text| is(text)).ok_or((text, self.text("body").await))
        })
        .await
    }

    /// Presses keys one after the other: letters, or keys by their numbers in WebDriver.
    pub(super) async fn press(&self, keys: &str) {
        let pressed = keys.chars().flat_map(|key| {
            [json!({ "type": "keyDown", "value": key }), json!({ "type": "keyUp", "value": key })]
        });
        let actions: Vec<Value> = pressed.collect();
        self.post("/actions", json!({ "actions": [{ "type": "key", "id": "keys", "actions": actions }] }))
            .await;
    }

    /// A screen so wide and high, light or dark.
    pub(super) async fn look_like(&self, width: u32, height: u32, scheme: &str) {
        let screen = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", screen).await;
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.devtools("Emulation.setEmulatedMedia", features).await;
    }

    /// The whole page as a picture (PNG).
    pub(super) async fn picture(&self) -> Vec<u8> {
        let wanted = json!({ "format": "png", "captureBeyondViewport": true });
        let taken = self.devtools("Page.captureScreenshot", wanted).await;
        STANDARD.decode(taken["data"].as_str().unwrap()).unwrap()
    }

    /// What the page has complained of since the last time.
    pub(super) async fn complaints(&self) -> Vec<String> {
        let said = self.post("/se/log", json!({ "type": "browser" })).await;
        said.as_array().unwrap().iter().map(|line| line["message"].as_str().unwrap().to_owned()).collect()
    }

    async fn devtools(&self, command: &str, parameters: Value) -> Value {
        self.post("/goog/cdp/execute", json!({ "cmd": command, "params": parameters })).await
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let path = format!("/session{}{path}", self.session);
        let kind = [("content-type", "application/json")];
        let answer = ask(self.port, "POST", &path, &kind, &body.to_string()).await;
        let answer = answer.unwrap_or_else(|error| panic!("{error}: {}", self.driver.output()));
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.json()["value"].clone()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Killed without this, its driver would leave it behind.
        let address = ("127.0.0.1", self.port);
        let ended = TcpStream::connect(address).and_then(|mut stream| {
            stream.set_read_timeout(Some(PATIENCE))?;
            let path = format!("/session{}", self.session);
            write!(stream, "DELETE {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n")?;
            stream.read(&mut [0; 1024])
        });
        drop(ended);
    }
}
