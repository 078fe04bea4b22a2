//! The same handler with another key for every run, which the check is to find.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use oncewise::{prelude::*, testing::check_idempotent};

const GUIDE: &str = include_str!("../../guide/src/testing.md");

/// Whom it has sent to, by idempotency keys.
type Sent = Arc<Mutex<BTreeMap<String, String>>>;

struct Careless(Sent);

impl Handler for Careless {
    const NAME: &'static str = "welcome";
    type Event = String;

    fn dedupe_key(&self, user: &String, _: &Metadata) -> DedupeKey {
        DedupeKey::of(user)
    }

    async fn handle(&self, _: &String, ctx: &Context) -> Outcome {
        self.0.lock().unwrap().insert(ctx.fencing_token().to_string(), "ann@example.com".to_owned());
        done()
    }
}

#[tokio::test]
async fn the_guide_shows_what_the_check_says() {
    let caught = check_idempotent(
        "\"ann\"",
        async || Sent::default(),
        |sent| Careless(sent.clone()),
        async |sent| sent.lock().unwrap().values().cloned().collect::<Vec<_>>(),
    );
    let text = caught.await.unwrap_err().to_string();
    let (_, shown) = GUIDE.split_once("```text\nThe handler").unwrap();
    let (shown, _) = shown.split_once("  …\n```").unwrap();
    assert!(
        text.starts_with(&format!("The handler{shown}")),
        "guide/src/testing.md shows something else than\n{text}"
    );
}
