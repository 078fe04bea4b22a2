//! Which server is the primary, as the Sentinels say.
//!
//! A Sentinel that is cut off from the others goes on naming the old primary. So all are asked, and of what the
//! majority of them answer the latest configuration counts; without a majority nobody is the primary. They are asked for each new connection, and once a second
//! while there are any: an old primary that nobody has told keeps its connections open and takes what is lost later.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::timeout;

use super::fault::repeatable;
use super::line::Line;
use super::resp::Reply;
use super::target::Target;
use crate::config::RedisSettings;
use crate::store::{FaultKind, StoreFault};

/// Between two looks at who is the primary.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// The majority that names an older configuration for so long has not just not heard of the latest: Sentinels tell each
/// other within two seconds. They were made anew, and count from the beginning.
const MADE_ANEW: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Sentinels {
    targets: Vec<Target>,
    /// How the primary is reached, wherever it is.
    way: Target,
    name: String,
    told: Mutex<Told>,
}

/// What they said last.
#[derive(Debug, Default)]
struct Told {
    address: Option<String>,
    epoch: u64,
    asked: Option<Instant>,
    /// Since when they have named an older configuration than before.
    older: Option<Instant>,
}

impl Told {
    /// Whether a configuration of this epoch counts when the majority names it now.
    fn believes(&mut self, epoch: u64, now: Instant) -> bool {
        if epoch >= self.epoch {
            self.older = None;
            return true;
        }
        now.duration_since(*self.older.get_or_insert(now)) >= MADE_ANEW
    }
}

/// One Sentinel's answer.
struct Answer {
    host: String,
    port: u16,
    epoch: u64,
}

impl Sentinels {
    /// # Errors
    /// Refused when there is none, or when credentials contradict each other.
    pub(super) fn of(way: Target, settings: &RedisSettings) -> Result<Self, StoreFault> {
        let targets = way.sentinels(settings)?;
        if targets.is_empty() {
            let none =
                "redis.mode is \"sentinel\" and redis.sentinels is empty; allowed is a list of host:port";
            return Err(StoreFault::refused(none));
        }
        Ok(Self { targets, way, name: settings.master_name.clone(), told: Mutex::default() })
    }

    pub(super) fn any(&self) -> &Target {
        &self.way
    }

    /// The last that is known of where the primary is.
    pub(super) fn address(&self) -> String {
        let told = self.lock();
        told.address.clone().unwrap_or_else(|| format!("the primary {:?} of Sentinel", self.name))
    }

    /// Asks where the primary is.
    pub(super) async fn primary(&self) -> Result<Target, StoreFault> {
        self.lock().asked = Some(Instant::now());
        let Answer { host, port, epoch } = self.ask().await?;
        let target = self.way.at(&host, port);
        let (is_believed, is_older) = {
            let mut told = self.lock();
            (told.believes(epoch, Instant::now()), epoch < told.epoch)
        };
        // Those that have not heard of a failover yet may be the first to answer.
        if !is_believed {
            return Err(StoreFault::unavailable("the Sentinels that answer know less than they did before"));
        }
        if is_older {
            let connected = timeout(target.connect_timeout, Line::connect(&target, true)).await;
            connected.map_err(|_| target.silent())??;
        }
        let mut told = self.lock();
        if told.address.as_ref().is_some_and(|before| *before != target.address) {
            tracing::warn!(name = self.name, address = target.address, "Redis has another primary");
        }
        (told.epoch, told.older) = (epoch, None);
        told.address = Some(target.address.clone());
        Ok(target)
    }

    /// Whether the primary is still at this address, as far as is known. Asks in the background when it is time to.
    pub(super) fn still_name(self: &Arc<Self>, address: &str) -> bool {
        let mut told = self.lock();
        if told.asked.is_none_or(|asked| asked.elapsed() >= LOOK_AGAIN) {
            told.asked = Some(Instant::now());
            let ours = Arc::clone(self);
            tokio::spawn(async move {
                if let Err(fault) = ours.primary().await {
                    tracing::warn!(%fault, "who is the primary of Redis is not known; the old one is used");
                }
            });
        }
        told.address.as_deref().is_none_or(|known| known == address)
    }

    async fn ask(&self) -> Result<Answer, StoreFault> {
        let mut answers: FuturesUnordered<_> =
            self.targets.iter().map(|target| self.ask_one(target)).collect();
        let (mut latest, mut heard, mut faults): (Option<Answer>, _, Vec<StoreFault>) = (None, 0, Vec::new());
        let (known, of) = (self.lock().epoch, self.targets.len());
        while let Some(answer) = answers.next().await {
            match answer {
                Ok(answer) => {
                    heard += 1;
                    if latest.as_ref().is_none_or(|latest| latest.epoch < answer.epoch) {
                        latest = Some(answer);
                    }
                }
                Err(fault) => faults.push(fault),
            }
            // Where they know less than was known, the others may know more.
            if heard * 2 > of && latest.as_ref().is_some_and(|latest| latest.epoch >= known) {
                break;
            }
        }
        if heard > 0 && heard * 2 <= of {
            let reason = faults.first().map_or("", |fault| &fault.message[..]);
            return Err(StoreFault::unavailable(format!(
                "{heard} of {of} Sentinels answered, and the majority has to say where the primary {:?} is: {reason}",
                self.name
            )));
        }
        latest.ok_or_else(|| {
            // What waiting does not mend is the more useful text.
            let refused = faults.iter().position(|fault| fault.kind == FaultKind::Refused);
            let fault = faults.swap_remove(refused.unwrap_or(0));
            let message = format!("no Sentinel names the primary {:?}: {}", self.name, fault.message);
            StoreFault { kind: fault.kind, message }
        })
    }

    async fn ask_one(&self, target: &Target) -> Result<Answer, StoreFault> {
        let asked = async {
            let mut line = Line::open(target).await?;
            line.say(&[b"SENTINEL", b"MASTER", self.name.as_bytes()], target).await?;
            self.read(&line, target)
        };
        timeout(target.response_timeout, asked).await.unwrap_or_else(|_| {
            Err(StoreFault::unavailable(format!("the Sentinel at {} did not answer in time", target.address)))
        })
    }

    fn read(&self, line: &Line, target: &Target) -> Result<Answer, StoreFault> {
        let at = format!("the Sentinel at {}", target.address);
        let fields = match line.replies.all().last() {
            Some(Reply::Array(fields)) => fields,
            Some(Reply::Error(error)) => return Err(self.refusal(&at, error)),
            _ => return Err(StoreFault::unavailable(format!("{at} does not say where the primary is"))),
        };
        let mut texts = fields.map(|field| match field {
            Reply::Text(text) => String::from_utf8_lossy(text).into_owned(),
            _ => String::new(),
        });
        let (mut host, mut port, mut epoch) = (None, None, None);
        while let (Some(name), Some(value)) = (texts.next(), texts.next()) {
            match &name[..] {
                "ip" => host = Some(value),
                "port" => port = value.parse().ok(),
                "config-epoch" => epoch = value.parse().ok(),
                _ => {}
            }
        }
        match (host, port, epoch) {
            (Some(host), Some(port), Some(epoch)) => Ok(Answer { host, port, epoch }),
            _ => Err(StoreFault::unavailable(format!("{at} does not say where the primary is"))),
        }
    }

    fn refusal(&self, at: &str, error: &[u8]) -> StoreFault {
        let said = String::from_utf8_lossy(error);
        if said.contains("No such master") {
            let advice = "`redis.master_name` is what its configuration calls it (\"sentinel monitor NAME\")";
            return StoreFault::refused(format!("{at} knows no such primary; {advice}"));
        }
        if said.contains("unknown command") {
            let advice = "redis.sentinels takes the Sentinels' own ports (26379 unless told otherwise)";
            return StoreFault::refused(format!("{at} is none; {advice}"));
        }
        if said.starts_with("NOAUTH") {
            let advice = "set redis.sentinel_password";
            return StoreFault::refused(format!("{at} wants a password of its own: {advice}"));
        }
        StoreFault::unavailable(format!("{at} cannot answer now: {}", repeatable(&said)))
    }

    fn lock(&self) -> MutexGuard<'_, Told> {
        // Whoever held it has assigned whole values only.
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_configuration_counts_when_it_stays() {
        let (mut told, now) = (Told { epoch: 3, ..Told::default() }, Instant::now());
        assert!(!told.believes(0, now));
        assert!(!told.believes(0, now + MADE_ANEW / 2));
        // They had only not heard of it yet.
        assert!(told.believes(3, now + MADE_ANEW / 2));
        assert!(!told.believes(0, now + MADE_ANEW));
        assert!(told.believes(0, now + MADE_ANEW * 2));
        assert!(told.believes(4, now + MADE_ANEW * 2));
    }
}
