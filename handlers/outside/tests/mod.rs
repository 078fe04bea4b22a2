//! The clients against servers on real sockets.

mod http;
mod mail;

use std::{fmt::Display, time::Duration};

use oncewise::Failure;

use crate::testing::text_of;

/// Long enough for everything that happens, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);
/// For what never happens.
const IMPATIENCE: Duration = Duration::from_millis(100);

/// What becomes of an error: the letter of its kind, how many seconds it asks for, and its whole text.
fn judged(error: impl Into<Failure>) -> (char, Option<u64>, String) {
    let failure = error.into();
    let text = text_of(&failure);
    match failure {
        Failure::Retry { after, .. } => ('R', after.map(|after| after.as_secs()), text),
        Failure::Reject { .. } => ('X', None, text),
    }
}

/// Nobody listens there: the port belonged to a listener that is gone.
async fn nowhere() -> impl Display {
    tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}
