//! `replay`: what has never taken effect in a range of the past does so now.

mod args;
mod progress;
pub(super) mod shown;

use std::{io::IsTerminal, process::ExitCode, slice, sync::Arc};

use jiff::Timestamp;
use tokio::{runtime::Handle, sync::watch};
use tokio_util::sync::CancellationToken;

pub(super) use args::Replay;

use super::{
    CUT_OFF, FAILED, FINE, INTERRUPTED, failed,
    inspect::inspect,
    operator::{confirmed, ended},
    refuse,
    run::connect,
    signals::Signals,
};
use crate::{
    Service,
    audit::Audit,
    check::{self, Finding},
    config::Settings,
    kafka::KafkaClient,
    pipeline::Crowd,
    replay::{
        Acted, Entry, Journal, Mode, Order, Ran, ReplayError, Replayer, State, Survey, name, refuse_unknown,
    },
    service::chosen,
    store::DedupeStore,
    telemetry::Metrics,
    worker::Control,
};

pub(super) async fn run(
    settings: &Settings,
    services: &[Service],
    args: &Replay,
    topics: &[String],
    handlers: &Handle,
) -> ExitCode {
    let store = match connect(settings) {
        Ok(store) => store,
        Err(fault) => return refuse(fault),
    };
    let wanted = match wanted(settings, services, args, topics, &store).await {
        Ok(wanted) => wanted,
        Err(error) => return ended(args.json, error),
    };
    let (mut signals, control) = match (Signals::listen(), Control::start()) {
        (Ok(signals), Ok(control)) => (signals, control),
        (Err(error), _) => return failed(format!("signals cannot be received: {error}")),
        (_, Err(reason)) => return failed(reason),
    };
    let cancel = CancellationToken::new();
    let (service, order) = match &wanted {
        Wanted::New(service, order) => (*service, order),
        Wanted::Resumed(service, entry) => (*service, &entry.order),
    };
    let replayer = Replayer {
        settings,
        service,
        kafka: KafkaClient::from_settings(&settings.kafka),
        store,
        handlers: handlers.clone(),
        control: control.handle(),
        crowd: Crowd::default(),
        cancel: cancel.clone(),
        metrics: Metrics::new(),
        tell: Arc::new(|text| eprintln!("{text}")),
        book: Default::default(),
    };
    let verb = Verb { settings, args, order, replayer: &replayer };
    let done = verb.act(&wanted);
    tokio::pin!(done);
    let code = tokio::select! {
        code = &mut done => Some(code),
        _ = signals.next() => {
            eprintln!("stopping; once more does not wait for what runs");
            cancel.cancel();
            tokio::select! {
                code = &mut done => Some(code),
                _ = signals.next() => None,
            }
        }
    };
    control.finish().await;
    code.unwrap_or(ExitCode::from(INTERRUPTED))
}

/// What is to be replayed.
enum Wanted<'a> {
    New(&'a Service, Order),
    Resumed(&'a Service, Entry),
}

/// All that is wrong with the command line comes at once.
async fn wanted<'a>(
    settings: &Settings,
    services: &'a [Service],
    args: &Replay,
    topics: &[String],
    store: &Arc<dyn DedupeStore>,
) -> Result<Wanted<'a>, ReplayError> {
    let refused = |problem: String| Err(ReplayError::Order(problem));
    let named = |name: &str| services.iter().find(|service| service.name() == name);
    if let Some(id) = &args.resume {
        if !topics.is_empty() {
            return refused(
                "--topic does not go with --resume: a replay goes on as it was ordered".to_owned(),
            );
        }
        let mut entry = Journal::new(Arc::clone(store)).resumable(id, settings).await?;
        let Some(service) = named(&entry.order.service) else {
            return refused(format!(
                "--resume {id}: its service {} is not in this binary",
                entry.order.service
            ));
        };
        args.request().amend(&mut entry.order);
        entry.order.check().map_err(|problems| ReplayError::Order(problems.join("\n")))?;
        return Ok(Wanted::Resumed(service, entry));
    }
    let service = chosen(services, args.service.as_deref());
    let order =
        args.request().order(service.as_ref().map_or("", |service| service.name()), topics, Timestamp::now());
    match (service, order) {
        (Ok(service), Ok(order)) => Ok(Wanted::New(service, order)),
        (service, order) => {
            let problems: Vec<String> =
                service.err().into_iter().chain(order.err().into_iter().flatten()).collect();
            refused(problems.join("\n"))
        }
    }
}

/// One call of the verb.
struct Verb<'a> {
    settings: &'a Settings,
    args: &'a Replay,
    order: &'a Order,
    replayer: &'a Replayer<'a>,
}

impl Verb<'_> {
    async fn act(&self, wanted: &Wanted<'_>) -> ExitCode {
        let done = match wanted {
            _ if self.args.dry_run || self.order.mode == Mode::Verify => self.look().await,
            Wanted::New(_, order) => self.begin(order).await,
            Wanted::Resumed(_, entry) => self.go(entry.clone(), &[], None).await,
        };
        done.unwrap_or_else(|error| ended(self.args.json, error))
    }

    /// Says what would become of every event. To verify is to expect that nothing is left to do.
    async fn look(&self) -> Result<ExitCode, ReplayError> {
        let (survey, warnings) = self.survey().await?;
        if self.args.json {
            println!("{}", shown::warned(shown::json(&survey), &warnings));
        } else {
            println!("{}", shown::survey(&survey));
        }
        let tally = survey.tally();
        let is_settled =
            tally.ran + tally.in_progress + tally.unknown + tally.undecodable == 0 && survey.open == 0;
        Ok(ExitCode::from(if self.args.dry_run || is_settled { FINE } else { FAILED }))
    }

    async fn survey(&self) -> Result<(Survey, Vec<String>), ReplayError> {
        let (survey, warnings) = self.replayer.survey(self.order).await?;
        warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
        Ok((survey, warnings))
    }

    async fn begin(&self, order: &Order) -> Result<ExitCode, ReplayError> {
        let reaches_beyond = self.replayer.reaches_beyond_memory(order).await?;
        let asks = !self.args.yes;
        if asks && !std::io::stdin().is_terminal() {
            let how = "add --yes to replay: there is no terminal to ask at; --dry-run says what it would do";
            return Err(ReplayError::Order(how.to_owned()));
        }
        let mut survey = None;
        if asks || reaches_beyond {
            let (found, _) = self.survey().await?;
            if let Err(error) = refuse_unknown(&found, order) {
                if self.args.json {
                    println!("{}", shown::refused(&found, &error.to_string()));
                } else {
                    eprintln!("{}\n\n{error}", shown::survey(&found));
                }
                return Ok(ExitCode::from(FAILED));
            }
            if asks {
                eprintln!("{}\n", shown::survey(&found));
                eprint!("Replay this? {} would run. [y/N] ", found.tally().ran + found.tally().unknown);
                if !confirmed() {
                    return Ok(failed("Nothing was replayed."));
                }
            }
            survey = Some(found);
        }
        let (entry, warnings) = self.replayer.enter(order.clone(), name(Timestamp::now())).await?;
        warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
        self.go(entry, &warnings, survey.as_ref()).await
    }

    /// What keeps a worker from starting keeps a replay from it, too; topics of ours that are missing are made.
    async fn inspect(&self) -> Result<(), ReplayError> {
        let Replayer { service, kafka, store, .. } = self.replayer;
        let create = self.settings.topics.create;
        let findings = inspect(self.settings, slice::from_ref(*service), kafka, &**store, create).await;
        let problems = findings.iter().filter(|finding| finding.state == check::State::Problem);
        let problems: Vec<String> = problems
            .map(|Finding { subject, found, advice, .. }| {
                format!("{subject}: {found}; {}", advice.as_deref().unwrap_or_default())
            })
            .collect();
        if problems.is_empty() { Ok(()) } else { Err(ReplayError::Trouble(problems.join("\n"))) }
    }

    /// Writes down that it begins, runs it, writes down how it went, and says so.
    async fn go(
        &self,
        entry: Entry,
        warnings: &[String],
        survey: Option<&Survey>,
    ) -> Result<ExitCode, ReplayError> {
        self.inspect().await?;
        let audit = Audit::open(self.settings).await?;
        let verb = if self.args.resume.is_some() { "replay --resume" } else { "replay" };
        eprintln!("replay {}: {} partitions of {}", entry.id, entry.parts.len(), entry.order.service);
        let (told, news) = watch::channel(entry.clone());
        let shown = tokio::spawn(progress::show(news));
        let Acted { ran, unwritten } = self.replayer.act(&audit, verb, entry, survey, &told).await?;
        drop(told);
        // It ends with the last of its news.
        drop(shown.await);
        if let Some(error) = unwritten {
            eprintln!("how it went could not be written down: {error}");
        }
        let Ran { entry, cut_off } = ran?;
        if self.args.json {
            println!("{}", shown::warned(shown::entry_json(&entry), warnings));
        } else {
            println!("{}", shown::entry(&entry));
        }
        Ok(ExitCode::from(match entry.state {
            State::Finished => FINE,
            _ if !cut_off.is_empty() => CUT_OFF,
            _ => FAILED,
        }))
    }
}
