//! Handles Kafka events, each of them once: `cargo run -- run`.

mod mailer;
mod welcome;

use std::process::ExitCode;

use oncewise::{App, BoxError, prelude::*};

use crate::{mailer::Mailer, welcome::Welcome};

/// Every verb is in here: `run`, `check`, `replay`, … (`cargo run -- help`).
fn main() -> ExitCode {
    App::new(|(): ()| async {
        let mailer = Mailer::default();
        let routes = Routes::new().on("users.signed_up", Welcome { mailer });
        Ok::<_, BoxError>(vec![Service::new("starter").routes(routes)])
    })
    .main()
}
