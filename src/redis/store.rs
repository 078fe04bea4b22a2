//! The store: which way each call goes.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ::redis::Pipeline;
use async_trait::async_trait;

use super::batches::Batches;
use super::claims::Tokens;
use super::cluster::Cluster;
use super::compact::{Confirm, Confirmed, Shorten};
use super::kept::Wait;
use super::node::{Lane, Node};
use super::place::Place;
use super::rights::Rights;
use super::sentinel::Sentinels;
use super::servers::Servers;
use super::suspects::Suspects;
use super::target::Target;
use super::wire::Call;
use crate::config::{RedisMode, RedisSettings, Secret};
use crate::store::{
    Accepted, Anchors, Claim, ClaimRequest, Completed, Completion, DedupeStore, Forget, Forgotten, Inspected,
    Layout, Release, Released, Renewal, Renewed, StoreFault, StoreKey, StoreReport,
};

/// The dedupe store in Redis: in one server, in the primary that Sentinel names, or in a cluster.
#[derive(Debug)]
pub struct RedisStore {
    pub(super) servers: Servers,
    tokens: Tokens,
    pub(super) suspects: Suspects,
    /// Ends are kept in short, as far as is known.
    aware: AtomicBool,
    /// What has ended counts when replicas have it.
    wait: Option<Wait>,
    prefix: String,
    pub(super) batches: Batches,
}

impl RedisStore {
    /// Prepares a store in one server at `redis://[user:password@]host[:port][/database]`; all else is as in
    /// [`open`](Self::open).
    ///
    /// # Errors
    /// Refused when the URL cannot be used. The text never repeats it, for it may hold a password.
    pub fn connect(url: &str, response_timeout: Duration) -> Result<Self, StoreFault> {
        let settings = RedisSettings { url: Secret::new(url), response_timeout, ..RedisSettings::default() };
        Self::open(&settings, "oncewise")
    }

    /// Prepares a store whose keys begin with `prefix`. It connects with the first call, so that a worker can say what
    /// is wrong instead of not starting; [`DedupeStore::describe`] tells early.
    ///
    /// A call without an answer fails after `response_timeout`; the largest batch has to fit into it.
    ///
    /// # Errors
    /// Refused when the settings cannot be used, by the name of the key. The text never repeats the URL, for it may
    /// hold a password.
    pub fn open(settings: &RedisSettings, prefix: &str) -> Result<Self, StoreFault> {
        let target = Target::of(settings)?;
        let wait = (settings.wait_replicas > 0)
            .then_some(Wait { replicas: settings.wait_replicas, timeout: settings.wait_timeout });
        let (is_cluster, is_sentinel) =
            (settings.mode == RedisMode::Cluster, settings.mode == RedisMode::Sentinel);
        let rights = Rights::new(prefix, is_cluster, is_sentinel, wait.is_some());
        let servers = match settings.mode {
            RedisMode::Standalone => {
                Servers::One(Box::new(Node::new(Place::Fixed(Box::new(target)), rights)))
            }
            RedisMode::Sentinel => {
                let sentinels = Arc::new(Sentinels::of(target, settings)?);
                Servers::One(Box::new(Node::new(Place::Primary(sentinels), rights)))
            }
            RedisMode::Cluster => {
                let further: Vec<Target> = target.places(&settings.nodes).collect();
                let seeds = std::iter::once(target.clone()).chain(further).collect();
                Servers::Cluster(Box::new(Cluster::new(target, seeds, rights)))
            }
        };
        Ok(Self {
            servers,
            tokens: Tokens::default(),
            suspects: Suspects::default(),
            aware: AtomicBool::new(false),
            wait,
            prefix: prefix.to_owned(),
            batches: Batches::default(),
        })
    }

    /// The same store, which claims events together whenever it can, however few they are; all of them under one number,
    /// if one is given.
    #[cfg(feature = "testing")]
    #[must_use]
    #[doc(hidden)]
    pub fn always_together(self, number: Option<u64>) -> Self {
        Self { batches: Batches::always(number), ..self }
    }

    /// Host and port of the server, without user and password; of a cluster, the nodes that may be asked for the
    /// others.
    pub fn address(&self) -> String {
        self.servers.address()
    }

    /// Loads the functions, for a user who may do that on behalf of workers that may not.
    ///
    /// # Errors
    /// As every call of the store.
    pub async fn load_functions(&self) -> Result<(), StoreFault> {
        self.servers.load_functions().await
    }

    pub(super) async fn call<R: Call>(&self, requests: &[R]) -> Result<Vec<R::Answer>, StoreFault> {
        self.servers.call(Lane::Calls, requests).await
    }

    fn notes_key(&self, kind: &str) -> String {
        format!("{}:notes:{kind}", self.prefix)
    }

    /// Topic names hold no colon, so the last one separates.
    fn anchors_key(&self, group: &str, topic: &str) -> String {
        format!("{}:anchors:{group}:{topic}", self.prefix)
    }
}

#[async_trait]
impl DedupeStore for RedisStore {
    async fn claim(&self, requests: &[ClaimRequest]) -> Result<Vec<Claim>, StoreFault> {
        if requests.is_empty() {
            return Ok(Vec::new());
        }
        // What was sent on may open again what has ended: the function looks.
        if requests.iter().any(|request| request.hop > 0) {
            return self.call(requests).await;
        }
        let aware = self.aware.load(Ordering::Relaxed);
        let may_be_together = !aware && self.wait.is_none() && self.servers.hold_batches();
        let together = self.batches.numbers_for(requests).filter(|_| may_be_together);
        let mut native = self.servers.claims(requests, &self.tokens, aware, together).await?;
        let empty = native.granted.and_then(|(_, batch)| batch).filter(|_| native.nothing_new);
        for (number, claim) in self.servers.tell(requests, &native.duplicates, empty).await? {
            native.answers[number] = Some(claim);
        }
        let granted = native.granted;
        self.aware.store(native.confirmed != Confirmed::Unneeded, Ordering::Relaxed);
        let ends = match native.confirmed {
            Confirmed::Unneeded => {
                let answers = self.decide(requests, native.answers).await?;
                self.batches.granted(granted, requests, &answers);
                return Ok(answers);
            }
            Confirmed::Ends(ends) => ends,
            Confirmed::Missing | Confirmed::Elsewhere => {
                let keys: Vec<_> = requests.iter().map(Confirm).collect();
                self.call(&keys).await?
            }
        };
        let mut answers = self.decide(requests, native.answers).await?;
        for (answer, end) in answers.iter_mut().zip(ends) {
            *answer = end.unwrap_or(*answer);
        }
        self.batches.granted(granted, requests, &answers);
        Ok(answers)
    }

    async fn renew(&self, renewals: &[Renewal]) -> Result<Vec<Renewed>, StoreFault> {
        self.servers.renew(renewals).await
    }

    async fn complete(&self, completions: &[Completion]) -> Result<Vec<Completed>, StoreFault> {
        if completions.is_empty() {
            return Ok(Vec::new());
        }
        if let Some(wait) = self.wait {
            return self.servers.keep(completions, wait).await;
        }
        let mut answers = Vec::with_capacity(completions.len());
        for some in completions.chunk_by(|one, other| one.layout == other.layout) {
            answers.extend(match some[0].layout {
                Layout::Keys => self.complete_long(some).await?,
                Layout::Compact => {
                    let short: Vec<_> = some.iter().map(Shorten).collect();
                    self.call(&short).await?
                }
            });
        }
        Ok(answers)
    }

    async fn release(&self, releases: &[Release]) -> Result<Vec<Released>, StoreFault> {
        let answers = self.call(releases).await?;
        let released = releases.iter().zip(&answers).filter(|(_, answer)| **answer == Released::Released);
        self.batches.over(released.map(|(release, _)| &release.held));
        Ok(answers)
    }

    async fn inspect(&self, keys: &[StoreKey]) -> Result<Vec<Inspected>, StoreFault> {
        self.call(keys).await
    }

    async fn forget(&self, requests: &[Forget]) -> Result<Vec<Forgotten>, StoreFault> {
        self.call(requests).await
    }

    async fn anchors(&self, group: &str, topic: &str) -> Result<Anchors, StoreFault> {
        let key = self.anchors_key(group, topic);
        let mut read = Pipeline::with_capacity(1);
        read.hgetall(&key);
        let (fields,): (HashMap<String, String>,) = self.servers.query(&key, &read).await?;
        let mut anchors = Anchors::default();
        for (field, value) in fields {
            read_field(&mut anchors, &field, &value).ok_or_else(|| {
                StoreFault::refused(format!("Redis at {}: {key} holds {field:?} = {value:?}", self.address()))
            })?;
        }
        Ok(anchors)
    }

    async fn anchor(
        &self,
        group: &str,
        topic: &str,
        partitions: i32,
        started: &[(i32, i64)],
    ) -> Result<(), StoreFault> {
        let key = self.anchors_key(group, topic);
        let accepted =
            if started.is_empty() { BTreeMap::new() } else { self.anchors(group, topic).await?.accepted };
        let mut write = Pipeline::with_capacity(started.len() + 1);
        write.hset_nx(&key, "partitions", partitions);
        for (partition, offset) in started {
            let field = format!("started:{partition}");
            match accepted.contains_key(partition) {
                true => write.hset(&key, field, offset),
                false => write.hset_nx(&key, field, offset),
            };
        }
        self.servers.query::<Vec<u64>>(&key, &write).await.map(|_| ())
    }

    async fn accept(
        &self,
        group: &str,
        topic: &str,
        partition: i32,
        position: Accepted,
    ) -> Result<(), StoreFault> {
        let key = self.anchors_key(group, topic);
        let mut write = Pipeline::with_capacity(1);
        write.hset(&key, format!("accepted:{partition}"), position.to_string());
        self.servers.query::<Vec<u64>>(&key, &write).await.map(|_| ())
    }

    async fn lost(&self, group: &str, topic: &str, partition: i32, from: i64) -> Result<(), StoreFault> {
        let key = self.anchors_key(group, topic);
        let mut write = Pipeline::with_capacity(1);
        write.hset_nx(&key, format!("lost:{partition}"), from);
        self.servers.query::<Vec<u64>>(&key, &write).await.map(|_| ())
    }

    async fn begun(
        &self,
        group: &str,
        topic: &str,
        partition: i32,
        topic_id: Option<&str>,
    ) -> Result<(), StoreFault> {
        let key = self.anchors_key(group, topic);
        let mut write = Pipeline::with_capacity(2);
        // First the id: should only one of them arrive, the decision still stands, and this is done again.
        if let Some(id) = topic_id {
            write.hset(&key, format!("topic:{partition}"), id);
        }
        write.hdel(&key, &[format!("accepted:{partition}"), format!("lost:{partition}")]);
        self.servers.query::<Vec<u64>>(&key, &write).await.map(|_| ())
    }

    async fn notes(&self, kind: &str) -> Result<BTreeMap<String, String>, StoreFault> {
        let key = self.notes_key(kind);
        let mut read = Pipeline::with_capacity(1);
        read.hgetall(&key);
        let (notes,): (BTreeMap<String, String>,) = self.servers.query(&key, &read).await?;
        Ok(notes)
    }

    async fn note(&self, kind: &str, name: &str, text: Option<&str>) -> Result<(), StoreFault> {
        let key = self.notes_key(kind);
        let mut write = Pipeline::with_capacity(1);
        match text {
            Some(text) => write.hset(&key, name, text),
            None => write.hdel(&key, name),
        };
        self.servers.query::<Vec<u64>>(&key, &write).await.map(|_| ())
    }

    async fn describe(&self) -> Result<StoreReport, StoreFault> {
        self.servers.describe(&self.prefix).await
    }
}

/// `None` when the field is none of ours.
fn read_field(anchors: &mut Anchors, field: &str, value: &str) -> Option<()> {
    match field.split_once(':') {
        None if field == "partitions" => anchors.partitions = Some(value.parse().ok()?),
        Some(("started", partition)) => {
            anchors.started.insert(partition.parse().ok()?, value.parse().ok()?);
        }
        Some(("topic", partition)) => {
            anchors.topic_ids.insert(partition.parse().ok()?, value.to_owned());
        }
        Some(("accepted", partition)) => {
            anchors.accepted.insert(partition.parse().ok()?, value.parse().ok()?);
        }
        Some(("lost", partition)) => {
            anchors.lost.insert(partition.parse().ok()?, value.parse().ok()?);
        }
        _ => return None,
    }
    Some(())
}
