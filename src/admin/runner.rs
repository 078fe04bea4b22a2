//! The replays that run in this process. They end with it, as stopped, and can be resumed anywhere.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Stage, answer::Refusal, carrying::refused, looks::Looks};
use crate::{
    Service,
    audit::{Act, Audit},
    kafka::Ended,
    pipeline::Partition,
    replay::{self, Entry, Journal, Order, ReplayError, Replayer, ResumeError, State},
    service::chosen,
    store::StoreFault,
};

/// Each works with as many handlers at a time as the live service.
const AT_ONCE: usize = 3;

/// What is to be replayed.
#[derive(Debug)]
pub(super) enum Wanted {
    New(Order),
    Resumed(Entry),
}

/// A replay that runs now.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) entry: Entry,
    pub(super) warnings: Vec<String>,
}

/// Starts replays, tells them to stop, and waits for their end.
#[derive(Debug)]
pub(super) struct Replays {
    scene: Arc<Scene>,
    places: Arc<Semaphore>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// What every replay needs.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) stage: Stage,
    /// Those at work here, by their names.
    running: Mutex<BTreeMap<String, CancellationToken>>,
    pub(super) looks: Looks,
    /// Where handlers ran on when the time of their replay to drain was over.
    cut_off: Mutex<Vec<Arc<Partition>>>,
}

/// An answer, or the name to ask for it later.
#[derive(Debug)]
pub(super) enum Answered<T> {
    Now(T),
    Later(String),
}

pub(super) type Answer<T> = oneshot::Sender<Result<T, ReplayError>>;

impl Replays {
    pub(super) fn new(stage: Stage, stop: &CancellationToken) -> Self {
        let (running, cut_off, looks) = Default::default();
        let scene = Arc::new(Scene { stage, running, cut_off, looks });
        let places = Arc::new(Semaphore::new(AT_ONCE));
        Self { scene, places, tasks: TaskTracker::new(), stop: stop.clone() }
    }

    /// All replays that are written down, by their names.
    pub(super) async fn all(&self) -> Result<BTreeMap<String, Entry>, StoreFault> {
        self.scene.journal().all(&self.scene.stage.settings).await
    }

    pub(super) async fn find(&self, id: &str) -> Result<Option<Entry>, StoreFault> {
        self.scene.journal().find(id, &self.scene.stage.settings).await
    }

    /// One that has not come to its end.
    pub(super) async fn resumable(&self, id: &str) -> Result<Entry, ResumeError> {
        self.scene.journal().resumable(id, &self.scene.stage.settings).await
    }

    /// The service of this name, or the only one.
    pub(super) fn service(&self, name: Option<&str>) -> Result<&Service, String> {
        chosen(&self.scene.stage.services, name)
    }

    /// What would become of every event in the range. Ends when nobody waits for it any more, unless it takes longer
    /// than `patience`: then its name is told, and what it finds is kept.
    pub(super) async fn survey(
        &self,
        service: &Service,
        order: Order,
        patience: Duration,
    ) -> Result<Answered<Value>, Refusal> {
        let place = self.place()?;
        let id = replay::name(Timestamp::now());
        let (scene, service) = (Arc::clone(&self.scene), service.clone());
        let look = move |id: String, cancel: CancellationToken, answer: Answer<Value>| async move {
            let found = scene.replayer(&service, &cancel).survey(&order).await.map(|(survey, warnings)| {
                let mut found = survey.json();
                found["warnings"] = json!(warnings);
                found
            });
            let kept = found.clone().map_or_else(
                |error| refused(&error),
                |mut found| {
                    found["state"] = "looked".into();
                    found
                },
            );
            scene.answer(&id, answer, found, kept);
            drop(place);
        };
        self.wait(id, patience, look).await
    }

    /// Answers once it runs, and lets it run to its end. What was to be looked at before may take longer than `patience`.
    pub(super) async fn begin(
        &self,
        service: &Service,
        wanted: Wanted,
        who: String,
        patience: Duration,
    ) -> Result<Answered<Begun>, Refusal> {
        let place = self.place()?;
        let id = match &wanted {
            Wanted::New(_) => replay::name(Timestamp::now()),
            Wanted::Resumed(entry) => entry.id.clone(),
        };
        let (scene, service) = (Arc::clone(&self.scene), service.clone());
        let begin = move |id, cancel, answer| async move {
            scene.carry_out(&service, wanted, id, who, cancel, answer).await;
            drop(place);
        };
        self.wait(id, patience, begin).await
    }

    /// Runs a task that answers, and waits for that. Whoever goes away before ends it.
    async fn wait<T: Send + 'static, F: Future<Output = ()> + Send + 'static>(
        &self,
        id: String,
        patience: Duration,
        task: impl FnOnce(String, CancellationToken, Answer<T>) -> F,
    ) -> Result<Answered<T>, Refusal> {
        let cancel = self.stop.child_token();
        let (answer, answered) = oneshot::channel();
        self.scene.looks.begin(&id, &cancel);
        let ends = cancel.clone().drop_guard();
        self.tasks.spawn_on(task(id.clone(), cancel, answer), &self.scene.stage.control);
        let waited = timeout(patience, answered).await;
        ends.disarm();
        match waited {
            Ok(answer) => Ok(Answered::Now(answer.unwrap_or_else(|_| Err(stopping()))?)),
            Err(_) => Ok(Answered::Later(id)),
        }
    }

    fn place(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        if self.stop.is_cancelled() {
            return Err(stopping().into());
        }
        Arc::clone(&self.places).try_acquire_owned().map_err(|_| {
            Refusal::not_now(format!(
                "{AT_ONCE} replays run in this worker, and no more do at once; wait, or ask another worker"
            ))
        })
    }

    /// What is being looked at here, and what was found.
    pub(super) fn looks(&self) -> &Looks {
        &self.scene.looks
    }

    /// Tells it to stop, in whichever process it runs.
    pub(super) async fn cancel(&self, entry: &Entry, who: String) -> Result<(), Refusal> {
        if entry.state != State::Running {
            let why = entry.why.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
            let state = json!(entry.state);
            let state = state.as_str().unwrap_or_default();
            return Err(Refusal::conflict(format!("replay {} does not run; it is {state}{why}", entry.id)));
        }
        let audit = Audit::open(&self.scene.stage.settings).await?.by(who);
        let (group, before) = (entry.group.clone(), json!({ "id": entry.id, "tally": entry.tally() }));
        audit.intend(Act { verb: "replay cancel", group, handler: None, key: None, before }).await?;
        // Written down wherever it runs: whoever resumes it waits for its end then.
        self.scene.journal().stop(&entry.id).await?;
        if let Some(cancel) = self.scene.running().get(&entry.id) {
            cancel.cancel();
        }
        Ok(())
    }

    /// Waits for the end of all that runs, and says whether something was cut off. Only once `stop` has fired.
    pub(super) async fn finish(&self) -> Ended {
        self.tasks.close();
        self.tasks.wait().await;
        if self.scene.cut_off().is_empty() { Ended::Drained } else { Ended::CutOff }
    }
}

impl Scene {
    fn journal(&self) -> Journal {
        Journal::new(Arc::clone(&self.stage.parts.store))
    }

    pub(super) fn replayer<'a>(&'a self, service: &'a Service, cancel: &CancellationToken) -> Replayer<'a> {
        let Stage { settings, parts, handlers, control, crowd, .. } = &self.stage;
        Replayer {
            settings,
            service,
            kafka: parts.kafka.clone(),
            store: Arc::clone(&parts.store),
            handlers: handlers.clone(),
            control: control.clone(),
            crowd: crowd.clone(),
            metrics: parts.metrics.clone(),
            tell: Arc::new(|text| tracing::info!("{text}")),
            book: Default::default(),
            cancel: cancel.clone(),
        }
    }

    pub(super) fn cut_off(&self) -> MutexGuard<'_, Vec<Arc<Partition>>> {
        let mut cut_off = self.cut_off.lock().unwrap_or_else(PoisonError::into_inner);
        cut_off.retain(|partition| !partition.is_stopped());
        cut_off
    }

    pub(super) fn running(&self) -> MutexGuard<'_, BTreeMap<String, CancellationToken>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn stopping() -> ReplayError {
    ReplayError::Trouble("the worker is stopping".to_owned())
}
