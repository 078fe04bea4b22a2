//! Welcomes each user once.

use oncewise::prelude::*;
use serde::Deserialize;

use crate::mailer::Mailer;

/// What lies in the topic `users.signed_up`, as JSON.
#[derive(Deserialize)]
pub(crate) struct SignedUp {
    user: String,
    email: String,
}

pub(crate) struct Welcome {
    pub(crate) mailer: Mailer,
}

impl Handler for Welcome {
    /// A part of every dedupe key: under another name it has seen nothing yet.
    const NAME: &'static str = "welcome";
    type Event = SignedUp;

    /// Two records with the same answer are the same event.
    fn dedupe_key(&self, event: &SignedUp, _: &Metadata) -> DedupeKey {
        DedupeKey::of(&event.user)
    }

    async fn handle(&self, event: &SignedUp, ctx: &Context) -> Outcome {
        let key = ctx.idempotency_key();
        self.mailer.send(key, &event.email).await.or_retry()?;
        done()
    }
}

#[cfg(test)]
mod tests {
    use oncewise::testing::{Harness, How, check_idempotent};

    use super::*;

    const ANN: &str = r#"{"user":"ann","email":"ann@example.com"}"#;

    #[tokio::test]
    async fn one_welcome_for_each_user() {
        let mailer = Mailer::default();
        let mut harness = Harness::new(Welcome {
            mailer: mailer.clone(),
        });
        harness.deliver_twice(ANN).await;
        assert_eq!(harness.outcomes(), [How::Done, How::Duplicate]);
        assert_eq!(mailer.sent(), ["ann@example.com"]);
    }

    /// Crashes at every step, a store that forgets, a broker that is away: each in a run of its own.
    #[tokio::test]
    async fn one_welcome_whatever_goes_wrong() {
        let start = |mailer: &Mailer| Welcome {
            mailer: mailer.clone(),
        };
        let sent = async |mailer: &Mailer| mailer.sent();
        check_idempotent(ANN, async || Mailer::default(), start, sent)
            .await
            .unwrap();
    }
}
