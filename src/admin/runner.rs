//! The replays that run in this process. They end with it, as stopped, and can be resumed anywhere.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Stage, answer::Refusal};
use crate::{
    Service,
    audit::{Act, Audit},
    kafka::Ended,
    pipeline::Partition,
    replay::{
        Acted, Entry, Journal, Order, Ran, ReplayError, Replayer, ResumeError, State, Survey, refuse_unknown,
    },
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
struct Scene {
    stage: Stage,
    /// Those at work here, by their names.
    running: Mutex<BTreeMap<String, CancellationToken>>,
    /// Where handlers ran on when the time of their replay to drain was over.
    cut_off: Mutex<Vec<Arc<Partition>>>,
}

type Answer = oneshot::Sender<Result<Begun, ReplayError>>;

impl Replays {
    pub(super) fn new(stage: Stage, stop: &CancellationToken) -> Self {
        let scene = Arc::new(Scene { stage, running: Mutex::default(), cut_off: Mutex::default() });
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

    /// What would become of every event in the range. Ends when nobody waits for it any more.
    pub(super) async fn survey(
        &self,
        service: &Service,
        order: &Order,
    ) -> Result<(Survey, Vec<String>), Refusal> {
        let _place = self.place()?;
        let cancel = self.stop.child_token();
        let _ends = cancel.clone().drop_guard();
        Ok(self.scene.replayer(service, &cancel).survey(order).await?)
    }

    /// Answers once it runs, and lets it run to its end.
    pub(super) async fn begin(
        &self,
        service: &Service,
        wanted: Wanted,
        who: String,
    ) -> Result<Begun, Refusal> {
        let place = self.place()?;
        let (answer, began) = oneshot::channel();
        let (scene, cancel) = (Arc::clone(&self.scene), self.stop.child_token());
        let service = service.clone();
        let task = async move {
            scene.carry_out(&service, wanted, who, cancel, answer).await;
            drop(place);
        };
        self.tasks.spawn_on(task, &self.scene.stage.control);
        began.await.unwrap_or_else(|_| Err(stopping())).map_err(Refusal::from)
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
        let here = self.scene.running().get(&entry.id).cloned();
        match here {
            Some(cancel) => cancel.cancel(),
            None => self.scene.journal().stop(&entry.id).await?,
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

    fn replayer<'a>(&'a self, service: &'a Service, cancel: &CancellationToken) -> Replayer<'a> {
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

    async fn carry_out(
        &self,
        service: &Service,
        wanted: Wanted,
        who: String,
        cancel: CancellationToken,
        mut answer: Answer,
    ) {
        let replayer = self.replayer(service, &cancel);
        let prepared = tokio::select! {
            prepared = prepare(&replayer, wanted) => prepared,
            // Nobody waits for it any more, and nothing has begun.
            () = answer.closed() => return cancel.cancel(),
        };
        let (verb, begun, survey) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => return drop(answer.send(Err(error))),
        };
        let audit = match Audit::open(&self.stage.settings).await {
            Ok(audit) => audit.by(who),
            Err(error) => return drop(answer.send(Err(error.into()))),
        };
        let id = begun.entry.id.clone();
        self.running().insert(id.clone(), cancel.clone());
        let (told, mut news) = watch::channel(begun.entry.clone());
        let warnings = begun.warnings;
        let acting = async {
            let acted = replayer.act(&audit, verb, begun.entry, survey.as_ref(), &told).await;
            drop(told);
            acted
        };
        let answering = async {
            // Its first news come when it is written down and has its partitions.
            match news.changed().await {
                Ok(()) => drop(answer.send(Ok(Begun { entry: news.borrow().clone(), warnings }))),
                Err(_) => return Some((answer, warnings)),
            }
            None
        };
        let (acted, unanswered) = tokio::join!(acting, answering);
        self.running().remove(&id);
        let ran = acted.and_then(|Acted { ran, unwritten }| {
            if let Some(error) = unwritten {
                tracing::error!(replay = id, %error, "how a replay went could not be written down");
            }
            ran
        });
        match &ran {
            Ok(Ran { entry, cut_off }) => {
                self.cut_off().extend(cut_off.iter().cloned());
                tracing::info!(replay = id, state = ?entry.state, tally = ?entry.tally(), "replayed")
            }
            Err(error) => tracing::warn!(replay = id, %error, "not replayed"),
        }
        if let Some((answer, warnings)) = unanswered {
            drop(answer.send(ran.map(|Ran { entry, .. }| Begun { entry, warnings })));
        }
    }

    fn cut_off(&self) -> MutexGuard<'_, Vec<Arc<Partition>>> {
        let mut cut_off = self.cut_off.lock().unwrap_or_else(PoisonError::into_inner);
        cut_off.retain(|partition| !partition.is_stopped());
        cut_off
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<String, CancellationToken>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The words for the audit, what is about to run, and what a look at it has found, where one was needed.
async fn prepare(
    replayer: &Replayer<'_>,
    wanted: Wanted,
) -> Result<(&'static str, Begun, Option<Survey>), ReplayError> {
    match wanted {
        Wanted::Resumed(entry) => Ok(("replay --resume", Begun { entry, warnings: Vec::new() }, None)),
        Wanted::New(order) => {
            let mut survey = None;
            if replayer.reaches_beyond_memory(&order).await? {
                let (found, _) = replayer.survey(&order).await?;
                refuse_unknown(&found, &order)?;
                survey = Some(found);
            }
            let (entry, warnings) = replayer.enter(order).await?;
            Ok(("replay", Begun { entry, warnings }, survey))
        }
    }
}

fn stopping() -> ReplayError {
    ReplayError::Trouble("the worker is stopping".to_owned())
}
