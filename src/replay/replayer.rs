//! From an order to its end: plan, dry run, and the run itself, written down as it goes.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use jiff::Timestamp;
use tokio::{runtime::Handle, sync::watch, time::Instant};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::{
    Entry, Journal, Order, ReplayError, State, Survey,
    notes::Notes,
    plan::{Plan, TopicPlan},
    reading::Reading,
    run::{Ended, Run, Worked},
    taken::{TakeError, Taken},
};
use crate::{
    Service,
    config::Settings,
    kafka::KafkaClient,
    ledger::{Book, Tell},
    pipeline::{Bounds, Crowd, Partition},
    store::DedupeStore,
    telemetry::{Metrics, spans::Deed},
};

/// What a replay that was told to stop may need beyond the time to drain, to hear of it and to write down how it ended.
const TO_END: Duration = Duration::from_secs(10);

/// Replays events of one service.
pub(crate) struct Replayer<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) service: &'a Service,
    pub(crate) kafka: KafkaClient,
    pub(crate) store: Arc<dyn DedupeStore>,
    /// Where handlers run.
    pub(crate) handlers: Handle,
    /// Where claims are renewed.
    pub(crate) control: Handle,
    /// All that runs in this process: what may kill it runs alone.
    pub(crate) crowd: Crowd,
    pub(crate) cancel: CancellationToken,
    /// Where what runs is counted.
    pub(crate) metrics: Metrics,
    /// Hears how far the ledger is read.
    pub(crate) tell: Tell,
    /// The ledger, once it was needed.
    pub(crate) book: OnceLock<Arc<Book>>,
}

impl fmt::Debug for Replayer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replayer").field("service", &self.service.name()).finish_non_exhaustive()
    }
}

/// A replay that has ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) entry: Entry,
    /// Where handlers were still running when the time to drain was over.
    pub(crate) cut_off: Vec<Arc<Partition>>,
}

impl Replayer<'_> {
    /// What would become of every event in the range. Nothing is run or written.
    pub(crate) async fn survey(&self, order: &Order) -> Result<(Survey, Vec<String>), ReplayError> {
        let mut plan = self.plan(order).await?;
        let mut warnings = plan.take_warnings();
        let scene = self.replaying(Arc::clone(&self.store), order, &plan, Arc::default()).await?;
        let (order, asked, cancel) = (order.clone(), self.control.clone(), self.cancel.clone());
        let look = move || {
            let survey = Survey::of(&order, &scene.judge, &scene.topics, plan, &asked, &cancel);
            survey.map(|survey| (survey, scene.judge.warnings()))
        };
        let (survey, lost) = blocking(look).await??;
        warnings.extend(lost);
        Ok((survey, warnings))
    }

    /// Whether there may be events in the range that took effect and are forgotten.
    pub(crate) async fn reaches_beyond_memory(&self, order: &Order) -> Result<bool, ReplayError> {
        let plan = self.plan(order).await?;
        let scene = self.replaying(Arc::clone(&self.store), order, &plan, Arc::default()).await?;
        let ends = [order.from, order.to].map(|end| end.time());
        if ends.iter().all(|end| scene.judge.is_remembered(*end)) {
            return Ok(false);
        }
        scene.judge.open_the_book().await?;
        Ok(!ends.iter().all(|end| scene.judge.is_known(*end)))
    }

    /// From now on events are finished here: that is written down for whoever asks what is remembered of them.
    pub(super) async fn keep(&self, order: &Order) -> Result<(), ReplayError> {
        let plan = self.plan(order).await?;
        let scene = self.replaying(Arc::clone(&self.store), order, &plan, Arc::default()).await?;
        Ok(scene.judge.keep().await?)
    }

    /// A new entry of this name for this order, with ends that are frozen now.
    pub(crate) async fn enter(&self, order: Order, id: String) -> Result<(Entry, Vec<String>), ReplayError> {
        let mut plan = self.plan(&order).await?;
        let now = Timestamp::now();
        let entry = Entry {
            id,
            group: self.group(),
            parts: plan.topics.iter().flat_map(TopicPlan::parts).collect(),
            order,
            state: State::Running,
            owner: None,
            why: None,
            started_at: now,
            updated_at: now,
        };
        Ok((entry, plan.take_warnings()))
    }

    /// Runs what is left of an entry, and keeps it written down. `progress` is told how far it is.
    pub(crate) async fn run(
        &self,
        entry: Entry,
        progress: &watch::Sender<Entry>,
    ) -> Result<Ran, ReplayError> {
        let journal = Journal::new(Arc::clone(&self.store));
        let taken = self.take(&entry, &journal).await?;
        let mut entry = journal.latest(entry).await?;
        entry.state = State::Running;
        entry.why = None;
        entry.owner = taken.owner();
        journal.prune().await?;
        // It may have been told to stop when it was not running.
        journal.let_run(&entry.id).await?;
        journal.write(&entry).await?;
        // It stands in the journal as running: how it ended has to follow, whatever that was.
        let deed = Deed::begin("replay", &entry.group, &entry.id);
        let worked = self.work(&entry, &taken, &journal, progress, deed.clone()).await;
        let Worked { ended, parts, cut_off } = worked.unwrap_or_else(|error| Worked {
            ended: Ended::Failed(error.to_string()),
            parts: entry.parts.clone(),
            cut_off: Vec::new(),
        });
        entry.parts = parts;
        entry.updated_at = Timestamp::now();
        (entry.state, entry.why) = match ended {
            Ended::Finished => (State::Finished, None),
            Ended::Cancelled => (State::Stopped, Some("it was told to stop".to_owned())),
            Ended::Enough => (State::Stopped, Some("it has taken as many records as it may".to_owned())),
            Ended::Failed(why) => (State::Failed, Some(why)),
        };
        if !cut_off.is_empty() {
            let still = "some handlers were still running when the time to drain was over";
            entry.why = Some(entry.why.map_or_else(|| still.to_owned(), |why| format!("{why}; {still}")));
        }
        if let Some(deed) = deed {
            let failed = entry.why.clone().filter(|_| entry.state == State::Failed);
            deed.end(entry.tally().ran, failed);
        }
        journal.update(&entry).await?;
        taken.release().await?;
        Ok(Ran { entry, cut_off })
    }

    /// Takes the partitions of an entry. Where its last run has been told to stop, that is waited for.
    async fn take(&self, entry: &Entry, journal: &Journal) -> Result<Taken, ReplayError> {
        let settings = self.settings.service(self.service.name());
        let places: Vec<(String, i32)> =
            entry.parts.iter().map(|part| (part.topic.clone(), part.partition)).collect();
        let patience = Instant::now() + settings.worker.drain_timeout + TO_END;
        let mut is_ending = false;
        loop {
            // Once it was: between its last word and the moment when it lets go it does not look so any more.
            is_ending |= journal.is_ending(&entry.id, self.settings).await?;
            match Taken::take(&self.store, &settings.dedupe.prefix, &entry.group, &places).await {
                Err(TakeError::Busy { .. })
                    if is_ending && !self.cancel.is_cancelled() && Instant::now() < patience => {}
                taken => return Ok(taken?),
            }
        }
    }

    async fn work(
        &self,
        entry: &Entry,
        taken: &Taken,
        journal: &Journal,
        progress: &watch::Sender<Entry>,
        deed: Option<Arc<Deed>>,
    ) -> Result<Worked, ReplayError> {
        let order = entry.order.clone();
        let plan = self.plan(&order).await?;
        let notes = Arc::new(Notes::default());
        let scene = self.replaying(taken.store(), &order, &plan, Arc::clone(&notes)).await?;
        if let (Some(replay), Some(deed)) = (&scene.judge.service.replay, deed) {
            replay.belongs_to(deed);
        }
        let settings = self.settings.service(self.service.name());
        let renewing = scene.assembly.keep_claims_alive(&scene.judge.service, &scene.topics);
        let renewing = AbortOnDropHandle::new(renewing);
        let mut topics = Vec::new();
        for planned in plan.topics {
            let Some(topic) = scene.topics.iter().find(|topic| topic.name == planned.topic) else { continue };
            let parts = entry.parts.iter().filter(|part| part.topic == *topic.name).cloned();
            let reading = Reading::begin(Arc::clone(topic), planned, parts, &self.handlers);
            topics.push(reading.map_err(|fault| ReplayError::Trouble(format!("Kafka: {fault}")))?);
        }
        if topics.iter().map(|reading| reading.partitions.len()).sum::<usize>() < entry.parts.len() {
            return Err(ReplayError::Trouble("not all of its partitions are there any more".to_owned()));
        }
        let (asked, cancel, lost) = (self.control.clone(), self.cancel.clone(), taken.lost.clone());
        let (entry, journal, progress) = (entry.clone(), journal.clone(), progress.clone());
        let stop = cancel.clone();
        let judge = scene.judge;
        let worked = blocking(move || {
            let run = Run {
                order: &order,
                judge: &judge,
                notes: &notes,
                topics,
                bounds: Bounds {
                    records: settings.worker.max_in_flight,
                    bytes: usize::try_from(settings.worker.max_in_flight_bytes).unwrap_or(usize::MAX),
                },
                asked: &asked,
                drain_timeout: settings.worker.drain_timeout,
                cancel,
                lost,
            };
            run.work(|parts| {
                let entry = Entry { parts, updated_at: Timestamp::now(), ..entry.clone() };
                // What cannot be written now is written with the next report; until then less is skipped.
                if let Err(fault) = asked.block_on(journal.update(&entry)) {
                    tracing::debug!(%fault, "how far the replay is could not be written down");
                }
                if matches!(asked.block_on(journal.is_to_stop(&entry.id)), Ok(true)) {
                    stop.cancel();
                }
                progress.send_replace(entry);
            })
        })
        .await?;
        let left = worked.cut_off.clone();
        // Nobody else may take the events of handlers that run on in this process.
        self.control.spawn(async move {
            futures_util::future::join_all(left.iter().map(|partition| partition.stopped())).await;
            drop(renewing);
        });
        Ok(worked)
    }

    pub(super) async fn plan(&self, order: &Order) -> Result<Plan, ReplayError> {
        let (client, group, order) = (self.kafka.clone(), self.group(), order.clone());
        let topics = self.physical(&order)?;
        Ok(blocking(move || Plan::make(&client, &group, &order, &topics)).await??)
    }

    /// The physical names of the topics; those of the order that the service does not consume are problems.
    fn physical(&self, order: &Order) -> Result<Vec<String>, ReplayError> {
        let all: BTreeMap<String, &str> = self
            .service
            .table()
            .topics()
            .map(|topic| (self.settings.topics.physical(topic).to_owned(), topic))
            .collect();
        let knows =
            |wanted: &String| all.iter().any(|(physical, logical)| physical == wanted || logical == wanted);
        let unknown: Vec<String> = order.topics.iter().filter(|topic| !knows(topic)).cloned().collect();
        if !unknown.is_empty() {
            let known = all.values().copied().collect::<Vec<_>>().join(", ");
            let service = self.service.name();
            let text = |topic| format!("--topic {topic}: {service} does not consume it; it consumes {known}");
            return Err(ReplayError::Order(unknown.iter().map(text).collect::<Vec<_>>().join("\n")));
        }
        let wanted = |(physical, logical): &(&String, &&str)| {
            order.topics.is_empty()
                || order.topics.iter().any(|topic| topic == *physical || topic == **logical)
        };
        Ok(all.iter().filter(wanted).map(|(physical, _)| physical.clone()).collect())
    }

    pub(super) fn group(&self) -> String {
        crate::worker::group_of(self.service, &self.settings.service(self.service.name()))
    }
}

pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ReplayError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| ReplayError::Trouble(format!("the replay ended before its time: {error}")))
}
