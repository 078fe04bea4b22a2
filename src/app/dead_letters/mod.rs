//! `dead-letters`: what could not be handled, looked at, sent again or put aside.

mod acting;
mod args;
mod looking;
mod progress;
mod shown;

use std::process::ExitCode;

use jiff::Timestamp;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

pub(super) use args::DeadLetters;

use self::acting::Acting;
use super::{FAILED, INTERRUPTED, USAGE, failed, signals::Signals};
use crate::{
    Service,
    config::Settings,
    kafka::KafkaClient,
    letters::{Act, Desk, Drawer, Filter, LettersError, drawers},
    service::chosen,
};

/// One call of the verb.
struct Verb<'a> {
    settings: &'a Settings,
    desk: Desk,
    drawers: Vec<Drawer>,
    json: bool,
}

pub(super) async fn run(
    settings: &Settings,
    services: &[Service],
    args: &DeadLetters,
    topics: &[String],
) -> ExitCode {
    let json = args.which().json;
    let mut signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => return failed(format!("signals cannot be received: {error}")),
    };
    let cancel = CancellationToken::new();
    let verb = match Verb::new(settings, services, args, topics, &cancel) {
        Ok(verb) => verb,
        Err(problems) => return ended(json, &LettersError::Order(problems.join("\n"))),
    };
    let done = verb.act(args);
    tokio::pin!(done);
    let went = tokio::select! {
        went = &mut done => went,
        _ = signals.next() => {
            cancel.cancel();
            tokio::select! {
                went = &mut done => went,
                _ = signals.next() => return ExitCode::from(INTERRUPTED),
            }
        }
    };
    went.unwrap_or_else(|error| ended(json, &error))
}

impl<'a> Verb<'a> {
    /// All that is wrong with the command line comes at once.
    fn new(
        settings: &'a Settings,
        services: &[Service],
        args: &DeadLetters,
        topics: &[String],
        cancel: &CancellationToken,
    ) -> Result<Self, Vec<String>> {
        let service = chosen(services, args.which().service.as_deref()).map_err(|problem| vec![problem])?;
        let drawers = drawers(settings, service, &args.wanted(topics))?;
        let desk = Desk {
            client: KafkaClient::from_settings(&settings.kafka),
            topics: settings.topics.clone(),
            runtime: Handle::current(),
            cancel: cancel.clone(),
        };
        Ok(Self { settings, desk, drawers, json: args.which().json })
    }

    async fn act(&self, args: &DeadLetters) -> Result<ExitCode, LettersError> {
        match args {
            DeadLetters::List { only, max, .. } => self.list(only, *max).await,
            DeadLetters::Show { one, payload, .. } => self.show(*one, *payload).await,
            DeadLetters::Groups { only, .. } => self.groups(only).await,
            DeadLetters::Status { .. } => self.status().await,
            DeadLetters::Redrive(redrive) => {
                let Acting { wish, edited } = self.wish(redrive).await?;
                self.deal(Act::Redrive, wish, &redrive.chosen, edited).await
            }
            DeadLetters::Discard(discard) => {
                let wish = self.chosen(&discard.chosen)?;
                self.deal(Act::Discard, wish, &discard.chosen, None).await
            }
        }
    }

    /// Does what blocks where it does not hold up signals.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(Desk, Vec<Drawer>) -> Result<T, LettersError> + Send + 'static,
    ) -> Result<T, LettersError> {
        let (desk, drawers) = (self.desk.clone(), self.drawers.clone());
        let work = tokio::task::spawn_blocking(move || work(desk, drawers));
        work.await.unwrap_or(Err(LettersError::Interrupted))
    }
}

fn filter(texts: &[String]) -> Result<Filter, LettersError> {
    Filter::parse(texts, Timestamp::now()).map_err(|problems| {
        let problems: Vec<String> = problems.iter().map(|problem| format!("--filter {problem}")).collect();
        LettersError::Order(problems.join("\n"))
    })
}

/// Says why nothing was done, to machines as JSON.
fn ended(json: bool, error: &LettersError) -> ExitCode {
    let code = if matches!(error, LettersError::Order(_)) { USAGE } else { FAILED };
    if json {
        println!("{}", serde_json::json!({ "error": error.to_string() }));
    } else {
        eprintln!("{error}");
    }
    ExitCode::from(code)
}
