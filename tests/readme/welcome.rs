use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex},
};

use oncewise::prelude::*;
use oncewise::testing::{Harness, How, check_idempotent};
use serde::Deserialize;

/// What lies in the topic, as JSON.
#[derive(Deserialize)]
struct SignedUp {
    user: String,
    email: String,
}

struct Welcome {
    mailer: Mailer,
}

impl Handler for Welcome {
    const NAME: &'static str = "welcome";
    type Event = SignedUp;

    /// Two records with the same answer are the same event.
    fn dedupe_key(&self, event: &SignedUp, _: &Metadata) -> DedupeKey {
        DedupeKey::of(&event.user)
    }

    /// An error says whether it may pass: `or_retry`, or `or_reject`.
    async fn handle(&self, event: &SignedUp, ctx: &Context) -> Outcome {
        self.mailer.send(ctx.idempotency_key(), &event.email).await.or_retry()?;
        done()
    }
}

/// Stands for a mail gateway: a key that it has seen is a repetition to it.
#[derive(Clone, Default)]
struct Mailer(Arc<Mutex<BTreeMap<String, String>>>);

impl Mailer {
    async fn send(&self, key: &str, to: &str) -> io::Result<()> {
        self.0.lock().unwrap().insert(key.to_owned(), to.to_owned());
        Ok(())
    }

    fn sent(&self) -> Vec<String> {
        self.0.lock().unwrap().values().cloned().collect()
    }
}

const ANN: &str = r#"{"user":"ann","email":"ann@example.com"}"#;

#[tokio::test]
async fn one_welcome_for_each_user() {
    let mailer = Mailer::default();
    let mut harness = Harness::new(Welcome { mailer: mailer.clone() });
    harness.deliver_twice(ANN).await;
    assert_eq!(harness.outcomes(), [How::Done, How::Duplicate]);
    assert_eq!(mailer.sent(), ["ann@example.com"]);
}

#[tokio::test]
async fn one_welcome_whatever_goes_wrong() {
    let start = |mailer: &Mailer| Welcome { mailer: mailer.clone() };
    check_idempotent(ANN, async || Mailer::default(), start, async |mailer| mailer.sent()).await.unwrap();
}
