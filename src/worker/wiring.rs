//! From settings and a service to its parts, running.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::{Assembly, Board, Control, Parts, Running};
use crate::{
    Service,
    config::{ServiceSettings, Settings},
    kafka::{Assigned, Group, Poller, Positions, Watcher},
    ledger,
    pipeline::{
        Bounds, Topic,
        sent_on::{redrive_topic, retry_topic, source_and_delay},
    },
};

/// What all services of a process share.
pub(super) struct Wiring<'a> {
    pub(super) settings: &'a Settings,
    pub(super) parts: &'a Parts,
    pub(super) assembly: Assembly<'a>,
    pub(super) control: &'a Control,
    pub(super) handlers: &'a Handle,
    /// Where its partitions can be seen.
    pub(super) board: &'a Board,
    /// The topics that there are.
    pub(super) there: &'a BTreeSet<String>,
    pub(super) stop: &'a CancellationToken,
}

impl Wiring<'_> {
    pub(super) fn start(&self, service: &Service) -> Result<Running, String> {
        let _entered = self.handlers.enter();
        let settings = self.settings.service(service.name());
        let run = self.assembly.run(service);
        let topic = |(topic, table)| Arc::new(self.assembly.topic(&run, topic, table));
        let mut topics: Vec<Arc<Topic>> = service.table().tables().into_iter().map(topic).collect();
        // Ends with the runtime it runs on.
        drop(self.assembly.keep_claims_alive(&run, &topics));
        let copies: Vec<_> =
            topics.iter().flat_map(|topic| copies_of(topic, self.there)).map(Arc::new).collect();
        let ours = copies.iter().map(|topic| topic.name.to_string()).collect();
        topics.extend(copies);
        let all = topics.clone();
        let assignment = Assigned::default();
        self.board.show(service.name(), &assignment);
        let group = Group {
            positions: Positions {
                group: run.group().to_owned(),
                start_from: settings.worker.start_from,
                ours,
                store: Arc::clone(&self.parts.store),
                topic_ids: self.parts.kafka.tells_topic_ids(),
                control: self.control.handle(),
                unwritten: Default::default(),
            },
            service: Arc::clone(&run),
            topics: topics.into_iter().map(|topic| (topic.name.to_string(), topic)).collect(),
            bounds: Bounds {
                records: settings.worker.max_in_flight,
                bytes: usize::try_from(settings.worker.max_in_flight_bytes).unwrap_or(usize::MAX),
            },
            drain_timeout: settings.worker.drain_timeout,
            revoke_timeout: settings.worker.drain_timeout.min(self.parts.kafka.poll_interval() / 2),
            stall_after: settings.worker.stall_after,
            runtime: self.handlers.clone(),
            watcher: Watcher::default(),
            assignment,
            is_outside: Default::default(),
            look_now: Default::default(),
            control: self.control.handle(),
            stop: self.stop.clone(),
        };
        if self.settings.topics.control.is_some() {
            // Nothing is claimed before it is known what is paused.
            all.iter().for_each(|topic| {
                topic.hold.set(true);
            });
        }
        let instance_id = settings.worker.instance_id.as_ref().map(|id| id.of(service.name(), &hostname()));
        let poller =
            Poller::start(&self.parts.kafka, group, settings.worker.commit_interval, instance_id.as_deref());
        let poller = poller.map_err(|fault| format!("service {}: {fault}", service.name()))?;
        Ok(Running { run, topics: all, poller })
    }
}

/// Where records of this topic come again: dead letters that are sent back, and what is tried later. What waits with a delay
/// of before is there all the same, and nobody else would read it.
fn copies_of(topic: &Topic, there: &BTreeSet<String>) -> Vec<Topic> {
    let group = topic.service.group();
    let delays = topic.table.iter().flat_map(|route| route.settings.retry.later.iter());
    let mut waiting: BTreeMap<String, Duration> =
        delays.map(|delay| (retry_topic(&topic.name, group, delay), delay)).collect();
    waiting.extend(there.iter().filter_map(|name| {
        let (source, delay) = source_and_delay(name, group)?;
        (*source == *topic.name).then(|| (name.clone(), delay))
    }));
    let redriven = topic.of_copies(redrive_topic(&topic.name, group), None);
    let later = |(name, delay)| topic.of_copies(name, Some(delay));
    std::iter::once(redriven).chain(waiting.into_iter().map(later)).collect()
}

/// What this pod is called: what Kubernetes says, or the host's own name.
pub(crate) fn hostname() -> String {
    let told = std::env::var("HOSTNAME").ok().filter(|name| !name.is_empty());
    told.unwrap_or_else(|| rustix::system::uname().nodename().to_string_lossy().into_owned())
}

/// The topic of a service's ledger, where the configuration wants one.
pub(crate) fn ledger_of(service: &Service, settings: &Settings) -> Option<String> {
    let own = settings.service(service.name());
    own.ledger.enabled.then(|| ledger::topic(&own.dedupe.prefix, &group_of(service, &own)))
}

/// The consumer group: the configuration's word counts before the code's.
pub(crate) fn group_of(service: &Service, settings: &ServiceSettings) -> String {
    settings.group.clone().unwrap_or_else(|| service.default_group().to_owned())
}
