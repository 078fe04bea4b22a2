//! Reads the control topic to its end, and then whatever comes, on a thread of its own. Outages end nothing: what was
//! known last holds until more is known.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::{runtime::Handle, sync::watch};
use tokio_util::sync::CancellationToken;

use super::{said::Said, view::View};
use crate::{
    Record,
    kafka::{FaultKind, KafkaClient, Tail},
};

/// How long one look at Kafka waits; so long an end may take, too.
const LOOK: Duration = Duration::from_millis(100);
/// Between two tries to open a topic that cannot be read, or is not there.
const AGAIN: Duration = Duration::from_secs(2);

/// Where the topic is.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) kafka: KafkaClient,
    /// Named to the brokers, and never joined.
    pub(crate) group: String,
    pub(crate) topic: String,
}

/// Whether what is known counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The topic has not been read to its end yet.
    #[default]
    Unread,
    /// Nor can it be, and why.
    Unreadable(String),
    /// There is no such topic, and never was since this began: nobody has paused anything.
    Missing,
    Known,
}

/// What is known of the topic.
#[derive(Debug, Clone, Default)]
pub(crate) struct Followed {
    pub(crate) view: View,
    pub(crate) standing: Standing,
    /// Everything below this offset is in the view.
    pub(crate) read_to: i64,
    /// The time of the newest record, by the brokers' clock.
    pub(crate) newest_ms: i64,
    /// Why it cannot be read at the moment.
    pub(crate) trouble: Option<String>,
}

/// Hears of every change of what is paused, and of whether it is known.
type Heed = dyn Fn(&Followed) + Send + Sync;

/// A reader of the control topic; it ends when this is dropped.
pub(crate) struct Follower {
    shared: Arc<Shared>,
    ended: CancellationToken,
}

struct Shared {
    source: Source,
    followed: Mutex<Followed>,
    turns: watch::Sender<()>,
    heed: Box<Heed>,
}

impl Followed {
    /// Whether anything may begin on the strength of it.
    pub(crate) fn is_known(&self) -> bool {
        matches!(self.standing, Standing::Known | Standing::Missing)
    }

    /// The time by which pods are judged: the clock of this machine may be behind that of the brokers.
    pub(crate) fn now_ms(&self) -> i64 {
        crate::pipeline::now_ms().max(self.newest_ms)
    }
}

impl Follower {
    /// Begins to read; `heed` is called on that thread.
    pub(crate) fn start(
        source: Source,
        runtime: &Handle,
        heed: impl Fn(&Followed) + Send + Sync + 'static,
    ) -> Self {
        let (followed, turns) = (Mutex::default(), watch::Sender::new(()));
        let shared = Arc::new(Shared { source, followed, turns, heed: Box::new(heed) });
        let ended = CancellationToken::new();
        drop(runtime.spawn_blocking({
            let (shared, ended) = (Arc::clone(&shared), ended.clone());
            move || shared.follow(&ended)
        }));
        Self { shared, ended }
    }

    /// What is known now.
    pub(crate) fn followed(&self) -> MutexGuard<'_, Followed> {
        self.shared.followed()
    }

    /// Waits until what is known makes an answer.
    pub(crate) async fn until<T>(&self, mut answer: impl FnMut(&Followed) -> Option<T>) -> T {
        let mut turns = self.shared.turns.subscribe();
        loop {
            if let Some(answer) = answer(&self.followed()) {
                return answer;
            }
            if turns.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.ended.cancel();
    }
}

impl fmt::Debug for Follower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follower").field("source", &self.shared.source).finish_non_exhaustive()
    }
}

impl Shared {
    fn followed(&self) -> MutexGuard<'_, Followed> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn follow(&self, ended: &CancellationToken) {
        let Source { kafka, group, topic } = &self.source;
        while !ended.is_cancelled() {
            match Tail::open(kafka, group, topic) {
                Ok(Some(tail)) => self.read(tail, ended),
                Ok(None) => self.missing(),
                Err(fault) => self.trouble(fault.message),
            }
            let until = Instant::now() + AGAIN;
            while !ended.is_cancelled() && Instant::now() < until {
                std::thread::sleep(LOOK);
            }
        }
    }

    /// Reads until the topic is gone.
    fn read(&self, mut tail: Tail, ended: &CancellationToken) {
        let (mut is_told, mut warned) = (false, false);
        while !ended.is_cancelled() {
            match tail.read(LOOK) {
                Ok(None) => {}
                Ok(Some(record)) => is_told &= !self.take(&record, tail.next(), &mut warned),
                Err(fault) => {
                    let is_gone = fault.kind == FaultKind::Misconfigured;
                    self.trouble(fault.message);
                    if is_gone {
                        return;
                    }
                    continue;
                }
            }
            if tail.is_read() && !std::mem::replace(&mut is_told, true) {
                self.followed().read_to = tail.next();
                self.stands(Standing::Known, None);
                self.tell();
            }
            self.turns.send_replace(());
        }
    }

    /// Takes one record. Whether it was about what is paused.
    fn take(&self, record: &Record, next: i64, warned: &mut bool) -> bool {
        let at_ms = record.timestamp.unwrap_or_default();
        let mut followed = self.followed();
        followed.newest_ms = followed.newest_ms.max(at_ms);
        followed.read_to = next;
        let mut is_news = false;
        let taken = Said::read(record).and_then(|said| {
            is_news = matches!(said, Said::Paused(..) | Said::Resumed(_));
            followed.view.take(said, record.offset, at_ms)
        });
        if let Err(why) = taken
            && !std::mem::replace(warned, true)
        {
            let (topic, offset) = (&self.source.topic, record.offset);
            tracing::warn!(%topic, offset, %why, "a record is left aside, and so are others that are none of ours");
        }
        is_news
    }

    /// What was known last holds.
    fn trouble(&self, reason: String) {
        let is_known = self.followed().is_known();
        let standing = if is_known { Standing::Known } else { Standing::Unreadable(reason.clone()) };
        if self.stands(standing, Some(reason)) {
            self.tell();
        }
    }

    fn missing(&self) {
        if self.followed().standing == Standing::Known {
            return self.trouble(format!("topic {} is not there any more", self.source.topic));
        }
        let nobody = "it is not there, so nothing can be paused; worker check --create makes it";
        if self.stands(Standing::Missing, Some(nobody.to_owned())) {
            self.tell();
        }
    }

    /// Whether that is news; then it is said.
    fn stands(&self, standing: Standing, trouble: Option<String>) -> bool {
        let mut followed = self.followed();
        let is_news = followed.standing != standing;
        if followed.trouble != trouble {
            let topic = &self.source.topic;
            match &trouble {
                None => tracing::info!(%topic, "the control topic is read"),
                Some(reason) if followed.is_known() || standing == Standing::Missing => {
                    tracing::warn!(%topic, %reason, "the control topic cannot be read; what was known last holds");
                }
                Some(reason) => {
                    tracing::error!(%topic, %reason, "nothing begins, for what is paused is not known");
                }
            }
        }
        (followed.standing, followed.trouble) = (standing, trouble);
        drop(followed);
        self.turns.send_replace(());
        is_news
    }

    fn tell(&self) {
        let followed = self.followed().clone();
        (self.heed)(&followed);
    }
}
