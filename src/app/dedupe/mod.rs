//! `dedupe`: what the store knows of one event, and letting the store forget it.

mod ledger;
mod shown;

use std::{
    io::{IsTerminal, Write},
    process::ExitCode,
};

use self::shown::Shown;
use super::{
    FAILED, FINE,
    args::{Dedupe, Event},
    failed, refuse,
    run::connect,
};
use crate::{
    Service,
    audit::{Act, Audit, Outcome},
    config::Settings,
    store::{DedupeStore, Forget, Forgotten, Inspected, KnownState, Stamp, StoreFault, StoreKey},
    worker::{group_of, ledger_of},
};

/// One event, as the store knows it.
struct Place {
    service: String,
    handler: String,
    group: String,
    key: String,
    redis_key: StoreKey,
    /// The topic of the ledger, where the service keeps one.
    ledger: Option<String>,
}

pub(super) async fn run(settings: &Settings, services: &[Service], args: &Dedupe) -> ExitCode {
    let store = match connect(settings) {
        Ok(store) => store,
        Err(fault) => return refuse(fault),
    };
    let (Dedupe::Show(event) | Dedupe::Forget { event, .. }) = args;
    let place = match Place::of(settings, services, event) {
        Ok(place) => place,
        Err(problems) => return refuse(problems.join("\n")),
    };
    let inspected = match look(&*store, &place).await {
        Ok(inspected) => inspected,
        Err(fault) => return failed(fault),
    };
    let shown = Shown::of(&place, &inspected);
    match args {
        Dedupe::Show(event) => {
            println!("{}", if event.json { shown.json() } else { shown.text() });
            ExitCode::from(FINE)
        }
        Dedupe::Forget { event, yes } => match forgettable(&inspected, place.ledger.is_some()) {
            Err(reason) => told(event, &shown, Err(reason)),
            Ok(stamp) => {
                if !yes && let Err(code) = confirmed(&shown) {
                    return code;
                }
                told(event, &shown, forget(settings, &*store, &place, &shown, stamp).await)
            }
        },
    }
}

impl Place {
    /// All that is wrong with the names comes at once.
    fn of(settings: &Settings, services: &[Service], event: &Event) -> Result<Self, Vec<String>> {
        let Event { service: name, handler, key, .. } = event;
        let mut problems = Vec::new();
        let service = services.iter().find(|service| service.name() == name);
        if service.is_none() {
            let names = services.iter().map(Service::name).collect::<Vec<_>>().join(", ");
            problems.push(format!("--service {name}: there is no such service; there are {names}"));
        }
        let asked =
            services.iter().filter(|other| service.is_none_or(|service| service.name() == other.name()));
        let handlers: Vec<&str> = asked.flat_map(|service| service.table().handlers()).collect();
        if !handlers.contains(&handler.as_str()) {
            let of = service.map_or(String::new(), |service| format!(" of {}", service.name()));
            let names = handlers.join(", ");
            problems.push(format!("--handler {handler}: there is no such handler{of}; there are {names}"));
        }
        if key.is_empty() {
            problems.push("KEY is empty: no event has such a key".to_owned());
        }
        let Some(service) = service.filter(|_| problems.is_empty()) else { return Err(problems) };
        let own = settings.service(name);
        let group = group_of(service, &own);
        let redis_key = StoreKey::new(&own.dedupe.prefix, &group, handler, key);
        let ledger_topic = ledger_of(service, settings);
        let (service, handler, key) = (name.clone(), handler.clone(), key.clone());
        let ledger = ledger_topic;
        Ok(Self { service, handler, group, key, redis_key, ledger })
    }
}

async fn look(store: &dyn DedupeStore, place: &Place) -> Result<Inspected, StoreFault> {
    let answers = store.inspect(std::slice::from_ref(&place.redis_key)).await?;
    answers.into_iter().next().ok_or_else(|| StoreFault::refused("the store gave no answer"))
}

/// What may be forgotten, the store's record of it or nothing but its entry in a ledger; otherwise why not.
fn forgettable(inspected: &Inspected, has_ledger: bool) -> Result<Option<Stamp>, String> {
    match inspected {
        Inspected::Unknown if has_ledger => Ok(None),
        Inspected::Unknown => Err("nothing is known of it, so there is nothing to forget".to_owned()),
        Inspected::Foreign => Err(FOREIGN.to_owned()),
        Inspected::Known(known) => match &known.state {
            KnownState::Claimed { left, .. } if !left.is_zero() => Err(busy(*left)),
            _ => Ok(Some(known.stamp.clone())),
        },
    }
}

const AGAIN: &str = "When this event is delivered again, it takes effect again, unless the group's commit notes it as finished: \
                     such a record is passed over by its place alone, until the group is taken back with `rewind`.";

const FOREIGN: &str = "its record was not written by this version, and is left alone";

fn busy(left: std::time::Duration) -> String {
    format!(
        "it is being worked on, under a lease until {}; try again when it is finished",
        shown::from_now(left)
    )
}

/// Asks the person at the terminal. Where there is none, `--yes` has to say it.
fn confirmed(shown: &Shown<'_>) -> Result<(), ExitCode> {
    if !std::io::stdin().is_terminal() {
        return Err(refuse("add --yes to let it be forgotten: there is no terminal to ask at"));
    }
    eprintln!("{}\n", shown.text());
    eprint!("{AGAIN} Forget it? [y/N] ");
    let mut answer = String::new();
    let read = std::io::stderr().flush().and_then(|()| std::io::stdin().read_line(&mut answer));
    match read {
        Ok(_) if ["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()) => Ok(()),
        Ok(_) => Err(failed("Nothing was forgotten.")),
        Err(error) => Err(failed(format!("nothing was forgotten, for there is no answer: {error}"))),
    }
}

/// Writes it down, does it, and where it did not come about writes that down, too.
async fn forget(
    settings: &Settings,
    store: &dyn DedupeStore,
    place: &Place,
    shown: &Shown<'_>,
    stamp: Option<Stamp>,
) -> Result<(), String> {
    let audit = Audit::open(settings).await.map_err(|error| error.to_string())?;
    let act = Act {
        verb: "dedupe forget",
        group: place.group.clone(),
        handler: Some(place.handler.clone()),
        key: Some(place.key.clone()),
        before: shown.before(),
    };
    let intent = audit.intend(act).await.map_err(|error| error.to_string())?;
    let Err((outcome, reason)) = forget_all(settings, store, place, stamp).await else { return Ok(()) };
    match audit.amend(&intent, outcome, &reason).await {
        Ok(()) => Err(reason),
        Err(error) => Err(format!("{reason}; nor could that be written down: {error}")),
    }
}

/// First in the store: what the ledger has lost would otherwise be run again once the store has forgotten it.
async fn forget_all(
    settings: &Settings,
    store: &dyn DedupeStore,
    place: &Place,
    stamp: Option<Stamp>,
) -> Result<(), (Outcome, String)> {
    let refused = |reason: &str| Err((Outcome::Refused, reason.to_owned()));
    let failed = |reason: String| Err((Outcome::Failed, reason));
    if let Some(stamp) = stamp {
        let answers = store.forget(&[Forget { key: place.redis_key.clone(), stamp }]).await;
        match answers.as_deref() {
            Ok([Forgotten::Forgotten]) => {}
            Ok([Forgotten::Busy { left }]) => return refused(&busy(*left)),
            Ok([Forgotten::Changed]) => return refused("it has changed since it was looked at; look again"),
            Ok([Forgotten::Foreign]) => return refused(FOREIGN),
            Ok(_) => return failed("the store gave no answer".to_owned()),
            Err(fault) => return failed(format!("nobody knows whether it was forgotten: {fault}")),
        }
    }
    let Some(topic) = &place.ledger else { return Ok(()) };
    match ledger::take_away(settings, store, topic, &place.group, &place.redis_key).await {
        Ok(()) => Ok(()),
        Err(reason) => {
            failed(format!("the store has forgotten it, but not the ledger: {reason}; forget it again"))
        }
    }
}

/// Says how it went.
fn told(event: &Event, shown: &Shown<'_>, went: Result<(), String>) -> ExitCode {
    if event.json {
        println!("{}", shown.forgotten(&went));
    }
    match went {
        Ok(()) => {
            if !event.json {
                println!("Forgotten. {AGAIN}");
            }
            ExitCode::from(FINE)
        }
        Err(_) if event.json => ExitCode::from(FAILED),
        Err(reason) => failed(format!("Not forgotten: {reason}")),
    }
}
