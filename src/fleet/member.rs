//! A process that does as it is told, and says how it is.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use tokio::{runtime::Handle, sync::Notify};
use tokio_util::sync::CancellationToken;

use super::{
    follower::{Followed, Follower, Source, Standing},
    operator::write,
    said::{PodReport, Said, ServiceReport},
    view::BEAT_MS,
};
use crate::{
    pipeline::{GateView, Producer, ServiceRun, Topic},
    telemetry::{Health, Snapshot},
    worker::Board,
};

/// How long the last word of a pod may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// One service at work.
#[derive(Debug, Clone)]
pub(crate) struct AtWork {
    pub(crate) run: Arc<ServiceRun>,
    pub(crate) topics: Vec<Arc<Topic>>,
}

/// What a member speaks for, and by which means.
pub(crate) struct Stage {
    pub(crate) source: Source,
    /// What this machine is called.
    pub(crate) host: String,
    pub(crate) services: Vec<AtWork>,
    pub(crate) producer: Arc<dyn Producer>,
    pub(crate) health: Health,
    pub(crate) board: Board,
}

/// This process as one of its fleet.
pub(crate) struct Member {
    speaker: Arc<Speaker>,
    follower: Arc<Follower>,
    ended: CancellationToken,
}

struct Speaker {
    /// Of this process alone.
    id: String,
    stage: Stage,
    started_at: Timestamp,
    /// What is paused, in words, by service.
    told: Mutex<BTreeMap<Arc<str>, Vec<String>>>,
    news: Notify,
}

impl Member {
    /// Does as the control topic says from now on. Until it has been read, nothing begins.
    pub(crate) fn start(stage: Stage, control: &Handle) -> Self {
        for service in &stage.services {
            service.topics.iter().for_each(|topic| {
                topic.hold.set(true);
            });
            let reason = format!("the control topic {} has not been read yet", stage.source.topic);
            service.run.status.health.not_told(Some(reason));
        }
        let source = stage.source.clone();
        let id = format!("{}-{:08x}", stage.host, rand::random::<u32>());
        let (told, news) = (Mutex::default(), Notify::new());
        let speaker = Arc::new(Speaker { id, stage, started_at: Timestamp::now(), told, news });
        let heeding = Arc::clone(&speaker);
        let follower = Arc::new(Follower::start(source, control, move |followed| heeding.heed(followed)));
        let ended = CancellationToken::new();
        drop(control.spawn(Arc::clone(&speaker).report(Arc::clone(&follower), ended.clone())));
        Self { speaker, follower, ended }
    }

    /// What it reads the control topic with.
    pub(super) fn follower(&self) -> &Arc<Follower> {
        &self.follower
    }

    /// Says farewell, so that nobody waits for this pod.
    pub(crate) async fn leave(&self) {
        self.ended.cancel();
        if self.follower.followed().standing == Standing::Known {
            let left = Said::Left(self.speaker.id.clone());
            drop(tokio::time::timeout(FAREWELL, self.speaker.say(&left)).await);
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.ended.cancel();
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member").field("id", &self.speaker.id).finish_non_exhaustive()
    }
}

impl Speaker {
    /// Does as it is told.
    fn heed(&self, followed: &Followed) {
        for AtWork { run, topics } in &self.stage.services {
            if !followed.is_known() {
                let topic = &self.stage.source.topic;
                let why = followed.trouble.as_deref().unwrap_or("it has not been read yet");
                let reason =
                    format!("the control topic {topic} says what is paused, and cannot be read: {why}");
                run.status.health.not_told(Some(reason));
                continue;
            }
            let paused: Vec<_> = followed.view.paused(run.group()).collect();
            let is_paused =
                |handler: &str| paused.iter().any(|(scope, _)| scope.handler.as_deref() == Some(handler));
            for topic in topics {
                // What holds a topic holds the copies of its records, too.
                let source = topic.copies_of.as_ref().unwrap_or(&topic.name);
                let closed = paused.iter().any(|(scope, _)| scope.holds_topic(run.group(), source));
                topic.hold.set(closed);
                for route in topic.table.iter() {
                    let handler = route.handler.name();
                    run.status.metrics.paused(&topic.name, handler, closed || is_paused(handler));
                }
            }
            run.gates.pause(is_paused);
            run.status.health.not_told(None);
            let words = paused.iter().map(|(scope, pause)| format!("{scope} {}", pause.text())).collect();
            self.tell(run, words);
        }
        self.news.notify_one();
    }

    fn tell(&self, run: &ServiceRun, words: Vec<String>) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let before = told.insert(Arc::clone(run.name()), words.clone()).unwrap_or_default();
        for news in words.iter().filter(|word| !before.contains(word)) {
            tracing::warn!(service = %run.name(), "paused: {news}");
        }
        for over in before.iter().filter(|word| !words.contains(word)) {
            tracing::warn!(service = %run.name(), "resumed, was paused: {over}");
        }
        match words.is_empty() {
            true => run.status.health.unnote("paused"),
            false => run.status.health.note("paused", words.join("; ")),
        }
    }

    /// Reports how this pod is, every now and then and whenever it was told something.
    async fn report(self: Arc<Self>, follower: Arc<Follower>, ended: CancellationToken) {
        let mut is_first = true;
        let mut told = false;
        loop {
            let followed = follower.followed().clone();
            if followed.standing == Standing::Known {
                let mut said = self.say(&Said::Pod(self.id.clone(), self.pod(&followed))).await;
                if std::mem::replace(&mut is_first, false) {
                    for pod in followed.view.forgotten(followed.now_ms()) {
                        said = said.and(self.say(&Said::Left(pod)).await);
                    }
                }
                match said {
                    Ok(()) => told = false,
                    Err(reason) if !std::mem::replace(&mut told, true) => {
                        tracing::warn!(%reason, "the control topic does not take how this pod is: others believe it silent");
                    }
                    Err(_) => {}
                }
            }
            tokio::select! {
                () = ended.cancelled() => return,
                () = self.news.notified() => {}
                () = tokio::time::sleep(Duration::from_millis(BEAT_MS)) => {}
            }
        }
    }

    async fn say(&self, said: &Said) -> Result<(), String> {
        write(&*self.stage.producer, &self.stage.source.topic, said).await
    }

    fn pod(&self, followed: &Followed) -> PodReport {
        let snapshot = self.stage.health.snapshot();
        PodReport {
            host: self.stage.host.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: self.started_at,
            read_to: followed.read_to,
            services: self
                .stage
                .services
                .iter()
                .map(|service| self.service(&service.run, &snapshot, followed))
                .collect(),
        }
    }

    fn service(&self, run: &ServiceRun, snapshot: &Snapshot, followed: &Followed) -> ServiceReport {
        let seen = self.stage.board.seen(run.name());
        let mut partitions: BTreeMap<String, Vec<i32>> = BTreeMap::new();
        for place in &seen {
            partitions.entry(place.topic.clone()).or_default().push(place.partition);
        }
        let ages: Vec<Duration> = seen.iter().filter_map(|place| place.oldest.age()).collect();
        let oldest = ages.iter().max().copied().unwrap_or_default();
        ServiceReport {
            service: run.name().to_string(),
            group: run.group().to_owned(),
            paused: followed.view.paused(run.group()).map(|(scope, _)| scope.key()).collect(),
            in_flight: seen.iter().map(|place| place.unsettled as u64).sum(),
            oldest_seconds: oldest.as_secs_f64(),
            oldest_unknown: oldest.is_zero() && ages.len() < seen.len(),
            partitions,
            breakers: run.gates.views().into_iter().filter_map(not_closed).collect(),
            trouble: snapshot.of(run.name()).readyz().reasons,
        }
    }
}

fn not_closed(view: GateView) -> Option<(String, String)> {
    let state = view.breaker.filter(|state| *state != "closed")?;
    Some((view.handler.to_owned(), state.to_owned()))
}
