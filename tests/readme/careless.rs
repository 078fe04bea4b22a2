//! The same handler with another key for every run, which the check is to find.

use oncewise::{prelude::*, testing::check_idempotent};

use crate::mailer::Mailer;

struct Careless(Mailer);

impl Handler for Careless {
    const NAME: &'static str = "welcome";
    type Event = String;

    fn dedupe_key(&self, user: &String, _: &Metadata) -> DedupeKey {
        DedupeKey::of(user)
    }

    async fn handle(&self, _: &String, ctx: &Context) -> Outcome {
        self.0.send(&ctx.fencing_token().to_string(), "ann@example.com").await.or_retry()?;
        done()
    }
}

#[tokio::test]
async fn the_readme_shows_what_the_check_says() {
    let caught = check_idempotent(
        "\"ann\"",
        async || Mailer::default(),
        |mailer| Careless(mailer.clone()),
        async |mailer| mailer.sent(),
    );
    let text = caught.await.unwrap_err().to_string();
    let (_, shown) = crate::README.split_once("```text\nThe handler").unwrap();
    let (shown, _) = shown.split_once("  …\n```").unwrap();
    assert!(text.starts_with(&format!("The handler{shown}")), "README.md shows something else than\n{text}");
}
