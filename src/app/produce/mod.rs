//! `produce`: sends events made by the application, some of them twice, some of them broken.

mod pace;
mod progress;
mod record;
mod summary;

use std::{fmt, process::ExitCode, time::Duration};

use tokio::time::Instant;

pub(super) use self::pace::Rate;
pub use self::record::{ProduceKind, ProduceRecipe, ProduceRecord};
use self::{pace::Pace, progress::Progress, summary::Summary};
use super::{FAILED, FINE, INTERRUPTED, args, failed, refuse, signals::Signals};
use crate::{
    config::{Loaded, Settings},
    kafka::{KafkaClient, KafkaFault, Outflow, TopicAdmin},
};

/// How long a broker may take to say whether the topic is there.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks at how far it is.
const TURN: Duration = Duration::from_millis(100);

/// The records of a recipe, one by one.
pub type ProduceRecords = Box<dyn Iterator<Item = ProduceRecord> + Send>;

/// What a binary sends when it is asked to produce.
pub struct Produce<C> {
    /// Logical name of the topic they are for, unless the command line names another.
    pub topic: &'static str,
    /// What its events are called, such as `orders`.
    pub events: &'static str,
    /// The records, made while they are sent. One recipe always gives the same.
    pub records: fn(&C, &ProduceRecipe) -> ProduceRecords,
}

pub(super) async fn run<C>(
    produce: &Produce<C>,
    loaded: &Loaded<C>,
    args: &args::Produce,
    targets: &[String],
) -> ExitCode {
    let recipe = match args.recipe(targets) {
        Ok(recipe) => recipe,
        Err(problems) => return refuse(problems.join("\n")),
    };
    let settings = &loaded.settings;
    let topic = settings.topics.physical(targets.first().map_or(produce.topic, String::as_str));
    let kafka = KafkaClient::from_settings(&settings.kafka);
    let (mut signals, outflow) = match (Signals::listen(), Outflow::new(&kafka)) {
        (Ok(signals), Ok(outflow)) => (signals, outflow),
        (Err(error), _) => return failed(format!("signals cannot be received: {error}")),
        (_, Err(fault)) => return refuse(fault),
    };
    if let Err(reason) = there(&kafka, settings, topic).await {
        return failed(reason);
    }
    let mut run = Run {
        outflow,
        summary: Summary::new(topic, produce.events, recipe),
        pace: args.rate.map(|rate| Pace::new(rate, Instant::now())),
        progress: Progress::new(recipe.count),
    };
    let began = Instant::now();
    let records = (produce.records)(&loaded.app, &recipe).map(|record| record.into_new(topic));
    let ended = run.send(records, &mut signals).await;
    run.progress.leave();
    run.summary.took = began.elapsed();
    let code = match ended {
        Ended::Settled => FINE,
        Ended::Failed(fault) => {
            run.summary.error = Some(fault.to_string());
            FAILED
        }
        Ended::Abandoned => INTERRUPTED,
    };
    println!("{}", if args.json { run.summary.json() } else { run.summary.text() });
    ExitCode::from(code)
}

/// The topic has to be there: nobody but its owner knows how many partitions it needs.
async fn there(kafka: &KafkaClient, settings: &Settings, topic: &str) -> Result<(), String> {
    let admin = TopicAdmin::new(kafka, PATIENCE).map_err(|fault| fault.to_string())?;
    match admin.describe(topic).await {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err(format!(
            "topic {topic} does not exist; name another with --topic, or create it with: kafka-topics.sh --bootstrap-server {} --create --topic {topic} --partitions 6",
            settings.kafka.brokers
        )),
        Err(fault) => Err(fault.to_string()),
    }
}

/// How sending ended.
enum Ended {
    /// Nothing is on its way any more; the summary says whether that is all.
    Settled,
    /// A record was not acknowledged.
    Failed(KafkaFault),
    /// Somebody did not want to wait for what is on its way.
    Abandoned,
}

struct Run<'a> {
    outflow: Outflow<record::Note>,
    summary: Summary<'a>,
    pace: Option<Pace>,
    progress: Progress,
}

impl Run<'_> {
    /// Sends until all is acknowledged, something fails or a signal comes; what is on its way then is waited for.
    async fn send(&mut self, records: impl Iterator<Item = record::Noted>, signals: &mut Signals) -> Ended {
        let mut records = records.peekable();
        let mut turns = tokio::time::interval(TURN);
        let mut first_fault = None;
        let mut has_room = true;
        loop {
            let sending = records.peek().is_some() && !self.summary.interrupted && first_fault.is_none();
            if !sending && self.outflow.is_empty() {
                return first_fault.map_or(Ended::Settled, Ended::Failed);
            }
            tokio::select! {
                biased;
                _ = signals.next() => match std::mem::replace(&mut self.summary.interrupted, true) {
                    false => eprintln!("stopping; once more does not wait for what is on its way"),
                    true => return Ended::Abandoned,
                },
                _ = turns.tick() => self.progress.show(self.summary.records()),
                () = due(self.pace.as_ref()), if sending && has_room => {
                    if let Some(record::Noted { record, note }) = records.peek_mut() {
                        match self.outflow.send(record, note.sent()) {
                            Ok(None) => {
                                records.next();
                                self.pace.iter_mut().for_each(|pace| pace.sent(Instant::now()));
                            }
                            Ok(Some(back)) => {
                                *note = back;
                                has_room = false;
                            }
                            Err(fault) => first_fault = Some(fault),
                        }
                    }
                }
                acknowledged = self.outflow.acknowledged(), if !self.outflow.is_empty() => {
                    has_room = true;
                    match acknowledged {
                        Ok(note) => note.into_iter().for_each(|note| self.summary.count(note.acknowledged())),
                        Err(fault) => drop(first_fault.get_or_insert(fault)),
                    }
                }
            }
        }
    }
}

async fn due(pace: Option<&Pace>) {
    if let Some(pace) = pace {
        tokio::time::sleep_until(pace.due()).await;
    }
}

impl<C> fmt::Debug for Produce<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Produce").field("topic", &self.topic).finish_non_exhaustive()
    }
}
