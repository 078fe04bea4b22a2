//! `rewind`: a stopped group goes back, and meets everything from there on once more.

use std::{collections::BTreeSet, io::IsTerminal, process::ExitCode, sync::Arc, time::Duration};

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::{
    FAILED, FINE, failed,
    operator::{confirmed, ended},
    refuse,
    replay::shown,
    run::connect,
};
use crate::{
    Service,
    audit::{Act, Audit, Outcome},
    config::Settings,
    kafka::KafkaClient,
    pipeline::Crowd,
    replay::{self as replays, Bound, Move, ReplayError, Replayer, parse_partitions},
    service::chosen,
    telemetry::Metrics,
    worker::Control,
};

#[derive(Debug, clap::Args)]
pub(super) struct Rewind {
    /// The service whose group goes back; the only one of a binary needs no name
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// Where it goes back to: RFC 3339, "2h ago", or an offset
    #[arg(long, value_name = "TIME")]
    to: String,
    /// Only these partitions, such as 0,3,5-7
    #[arg(long, value_name = "LIST")]
    partitions: Option<String>,
    /// Says what would move, and what would become of every event, and does nothing
    #[arg(long)]
    dry_run: bool,
    /// Also where nobody knows of some events whether they took effect: they run then
    #[arg(long)]
    allow_unknown: bool,
    /// So soon the group will be through, counted from now; what it meets must be remembered for longer [default: a
    /// quarter of the time for which its events are remembered]
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    within: Option<Duration>,
    /// Does not ask
    #[arg(long)]
    yes: bool,
    /// Prints one line of JSON
    #[arg(long)]
    json: bool,
}

impl Rewind {
    /// Where to, and for which partitions; all that is wrong with it at once.
    fn place(&self, now: Timestamp) -> Result<(Bound, BTreeSet<i32>), Vec<String>> {
        let to = Bound::parse(&self.to, now).map_err(|error| format!("--to {error}"));
        let partitions = self.partitions.as_deref().map(parse_partitions).transpose();
        match (to, partitions) {
            (Ok(to), Ok(partitions)) => Ok((to, partitions.unwrap_or_default())),
            (to, partitions) => Err(to.err().into_iter().chain(partitions.err()).collect()),
        }
    }
}

pub(super) async fn run(
    settings: &Settings,
    services: &[Service],
    args: &Rewind,
    topics: &[String],
    handlers: &Handle,
) -> ExitCode {
    let (service, place) = (chosen(services, args.service.as_deref()), args.place(Timestamp::now()));
    let (service, place) = match (service, place) {
        (Ok(service), Ok(place)) => (service, place),
        (service, place) => {
            let problems: Vec<String> =
                service.err().into_iter().chain(place.err().into_iter().flatten()).collect();
            return ended(args.json, ReplayError::Order(problems.join("\n")));
        }
    };
    let (store, control) = match (connect(settings), Control::start()) {
        (Ok(store), Ok(control)) => (store, control),
        (Err(fault), _) => return refuse(fault),
        (_, Err(reason)) => return failed(reason),
    };
    let replayer = Replayer {
        settings,
        service,
        kafka: KafkaClient::from_settings(&settings.kafka),
        store,
        handlers: handlers.clone(),
        control: control.handle(),
        crowd: Crowd::default(),
        cancel: CancellationToken::new(),
        metrics: Metrics::new(),
        tell: Arc::new(|text| eprintln!("{text}")),
        book: Default::default(),
    };
    let done = rewind(settings, &replayer, args, topics, place).await;
    control.finish().await;
    done.unwrap_or_else(|error| ended(args.json, error))
}

async fn rewind(
    settings: &Settings,
    replayer: &Replayer<'_>,
    args: &Rewind,
    topics: &[String],
    (to, partitions): (Bound, BTreeSet<i32>),
) -> Result<ExitCode, ReplayError> {
    let back = replayer.look_back(topics.to_vec(), partitions, to).await?;
    back.warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
    if back.moves.is_empty() {
        told(args, &back, "Nothing moves: the group has not been further than that.");
        return Ok(ExitCode::from(FINE));
    }
    let tally = back.survey.tally();
    if args.dry_run {
        told(args, &back, "Nothing was moved.");
        return Ok(ExitCode::from(FINE));
    }
    if tally.unknown > 0 && !args.allow_unknown {
        let reason = format!(
            "Nothing was moved: of {} events nobody knows whether they took effect, for the store does not reach back that far. --allow-unknown moves all the same, and they run.",
            tally.unknown
        );
        told(args, &back, &reason);
        return Ok(ExitCode::from(FAILED));
    }
    let within = args.within.unwrap_or_else(|| replayer.way_back());
    if let Some(reason) = back.refused(within).filter(|_| !args.allow_unknown) {
        told(args, &back, &reason);
        return Ok(ExitCode::from(FAILED));
    }
    if !args.yes {
        if !std::io::stdin().is_terminal() {
            let how = "add --yes to move: there is no terminal to ask at; --dry-run says what it would do";
            return Err(ReplayError::Order(how.to_owned()));
        }
        eprintln!("{}\n\n{}\n", moves(&back.moves), shown::survey(&back.survey));
        eprint!("Move the group back? {} would run. [y/N] ", tally.ran + tally.unknown);
        if !confirmed() {
            return Ok(failed("Nothing was moved."));
        }
    }
    written_down(settings, replayer, &back).await?;
    let by = back.remembered_until.map(|until| format!(", and must be through by {until:.0}"));
    let how =
        format!("Moved. The group goes on from there when its workers start{}.", by.unwrap_or_default());
    told(args, &back, &how);
    Ok(ExitCode::from(FINE))
}

/// Writes it down, does it, and where it did not come about writes that down, too.
async fn written_down(
    settings: &Settings,
    replayer: &Replayer<'_>,
    back: &replays::Rewind,
) -> Result<(), ReplayError> {
    let trouble = |reason: String| ReplayError::Trouble(reason);
    let audit = Audit::open(settings).await.map_err(|error| trouble(error.to_string()))?;
    let before = json!({ "moves": back.moves, "survey": back.survey.tally() });
    let act = Act { verb: "rewind", group: back.group.clone(), handler: None, key: None, before };
    let intent = audit.intend(act).await.map_err(|error| trouble(error.to_string()))?;
    let Err(error) = replayer.go_back(&back.moves).await else { return Ok(()) };
    match audit.amend(&intent, Outcome::Refused, &error.to_string()).await {
        Ok(()) => Err(error),
        Err(unwritten) => Err(trouble(format!("{error}; nor could that be written down: {unwritten}"))),
    }
}

/// What moves, what would become of the events, and how it went.
fn told(args: &Rewind, back: &replays::Rewind, how: &str) {
    if args.json {
        let mut shown: Value = shown::json(&back.survey);
        shown["moves"] = json!(back.moves);
        shown["remembered_until"] = json!(back.remembered_until);
        shown["how"] = how.into();
        println!("{shown}");
    } else if back.moves.is_empty() {
        println!("{how}");
    } else {
        println!("{}\n\n{}\n\n{how}", moves(&back.moves), shown::survey(&back.survey));
    }
}

fn moves(moves: &[Move]) -> String {
    let line =
        |Move { topic, partition, from, to }: &Move| format!("{topic}:{partition} from {from} to {to}");
    moves.iter().map(line).collect::<Vec<_>>().join("\n")
}
