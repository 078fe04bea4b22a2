//! A cluster: which node has which slot, and requests that follow their slots wherever these move.
//!
//! A batch is divided by node and asked everywhere at once. What a node does not have any more goes to where it says
//! (`MOVED`: for good, `ASK`: this once), and what is between two nodes (`TRYAGAIN`) is asked again until the store's
//! patience ends. Answers that are there stay: nothing is asked twice because something else has moved.

mod canaries;
mod map;
mod outcome;
pub(super) mod slot;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, join_all};
use futures_util::stream::{FuturesUnordered, Stream, StreamExt};
use rand::seq::IteratorRandom;
use tokio::time::{sleep, timeout};

pub(super) use outcome::{Elsewhere, Outcome, Visit};

use self::map::{Found, Map};
use super::line::Line;
use super::node::Node;
use super::place::Place;
use super::redirect::{self, Redirect};
use super::report;
use super::rights::Rights;
use super::target::Target;
use crate::store::{BUCKETS, StoreFault, StoreReport};

/// Between two questions of one request that had no answer because its slot moves.
const PAUSE: Duration = Duration::from_millis(10);
/// The map is looked at again after this long, where it can be without haste.
const STALE: Duration = Duration::from_secs(4);

#[derive(Debug)]
pub(super) struct Cluster {
    /// How nodes are reached.
    way: Target,
    seeds: Vec<Target>,
    pub(super) rights: Rights,
    map: Mutex<Map>,
    learning: tokio::sync::Mutex<()>,
}

/// What one visit to a node asks: of which requests, and how.
pub(super) type Asked<'a, T> = BoxFuture<'a, Result<Vec<Outcome<T>>, StoreFault>>;

/// By the address of a node, and whether it has to be told that slots are only moving to it: which of the requests.
type Visits = BTreeMap<(String, bool), (Arc<Node>, Vec<usize>)>;

impl Cluster {
    pub(super) fn new(way: Target, seeds: Vec<Target>, rights: Rights) -> Self {
        Self { way, seeds, rights, map: Mutex::default(), learning: tokio::sync::Mutex::default() }
    }

    /// The nodes that may be asked for the others.
    pub(super) fn address(&self) -> String {
        self.seeds.iter().map(|seed| &seed.address[..]).collect::<Vec<_>>().join(",")
    }

    /// Asks for requests that lie in these slots; `ask` is given a node, how it is visited, and which of them.
    pub(super) async fn each<'a, T>(
        &self,
        slots: Vec<u16>,
        ask: impl Fn(Arc<Node>, Visit, Vec<usize>) -> Asked<'a, T>,
    ) -> Result<Vec<T>, StoreFault> {
        match self.reach(slots, ask).await {
            (_, Some(fault)) => Err(fault),
            (answers, None) => Ok(answers.into_iter().flatten().collect()),
        }
    }

    /// The same, with what was answered and why the rest was not.
    pub(super) async fn reach<'a, T>(
        &self,
        slots: Vec<u16>,
        ask: impl Fn(Arc<Node>, Visit, Vec<usize>) -> Asked<'a, T>,
    ) -> (Vec<Option<T>>, Option<StoreFault>) {
        let patience = Instant::now() + self.way.response_timeout;
        let mut answers: Vec<Option<T>> = slots.iter().map(|_| None).collect();
        let mut todo: Vec<(usize, Option<redirect::Node>)> =
            (0..slots.len()).map(|number| (number, None)).collect();
        let (mut alone, mut fault) = (false, None);
        while !todo.is_empty() {
            if let Err(unknown) = self.know().await {
                return (answers, Some(unknown));
            }
            let visits = self.visits(&slots, &todo, &mut fault);
            let asked = visits.iter().map(|((_, asking), (node, numbers))| {
                let visit = Visit { in_cluster: true, asking: *asking, alone, aside: None };
                ask(node.clone(), visit, numbers.clone())
            });
            let (results, mut wait) = (join_all(asked).await, false);
            todo.clear();
            for (((address, _), (_, numbers)), result) in visits.iter().zip(results) {
                let outcomes = match result {
                    Ok(outcomes) => outcomes,
                    Err(reason) => {
                        // The slots of a node that does not answer may be another's by now.
                        self.lock().suspect(address);
                        fault = Some(reason);
                        continue;
                    }
                };
                for (number, outcome) in numbers.iter().zip(outcomes) {
                    match outcome {
                        Outcome::Answer(answer) => answers[*number] = Some(answer),
                        Outcome::Elsewhere(redirect) => {
                            wait |= redirect == Redirect::Again;
                            todo.push((*number, self.follow(redirect, slots[*number], address)));
                        }
                    }
                }
            }
            if !todo.is_empty() {
                alone = true;
                if Instant::now() >= patience {
                    let what = "slots of the cluster are moving, and what they hold cannot be asked for yet";
                    let moving = || StoreFault::unavailable(format!("Redis at {}: {what}", self.address()));
                    return (answers, Some(fault.unwrap_or_else(moving)));
                }
                if wait {
                    sleep(PAUSE).await;
                }
            }
        }
        (answers, fault)
    }

    /// Where to go now, if it is only for this once.
    fn follow(&self, redirect: Redirect, slot: u16, from: &str) -> Option<redirect::Node> {
        let named = |node: redirect::Node| match node.host.is_empty() {
            true => redirect::Node { host: host_of(from).to_owned(), ..node },
            false => node,
        };
        match redirect {
            Redirect::Again => None,
            Redirect::Ask(node) => Some(named(node)),
            Redirect::Moved(node) => {
                let node = named(node);
                let mut map = self.lock();
                let there = self.node(&mut map, &node);
                map.assign(slot..=slot, there);
                None
            }
        }
    }

    /// Which node is visited for which of the requests. Those that no node has are left out; the fault says so.
    fn visits(
        &self,
        slots: &[u16],
        todo: &[(usize, Option<redirect::Node>)],
        fault: &mut Option<StoreFault>,
    ) -> Visits {
        let mut visits = Visits::new();
        let mut map = self.lock();
        for (number, ask) in todo {
            let there = match ask {
                Some(node) => Some(self.node(&mut map, node)),
                None => map.node_of(slots[*number]),
            };
            if let Some((address, node)) = there {
                visits.entry((address, ask.is_some())).or_insert_with(|| (node, Vec::new())).1.push(*number);
            } else {
                map.doubt();
                let nobody =
                    format!("no node of the cluster at {} has slot {}", self.address(), slots[*number]);
                *fault = Some(StoreFault::unavailable(nobody));
            }
        }
        visits
    }

    /// Another bucket of this node than those in these slots, any one of them.
    pub(super) fn bucket_beside(&self, node: &Arc<Node>, slots: &[u16]) -> Option<u8> {
        let map = self.lock();
        let is_beside = |bucket: &u8| {
            let slot = slot::of_bucket(*bucket);
            !slots.contains(&slot) && map.node_of(slot).is_some_and(|(_, there)| Arc::ptr_eq(&there, node))
        };
        (0..BUCKETS).filter(is_beside).choose(&mut rand::rng())
    }

    fn node(&self, map: &mut Map, node: &redirect::Node) -> Found {
        let target = self.way.at(&node.host, node.port);
        map.node(&target.address.clone(), || Node::new(Place::Fixed(Box::new(target)), self.rights.clone()))
    }

    /// Sees to it that there is a map.
    async fn know(&self) -> Result<(), StoreFault> {
        if self.lock().is_known() {
            return Ok(());
        }
        let _one = self.learning.lock().await;
        if self.lock().is_known() { Ok(()) } else { self.learn().await }
    }

    /// Asks all nodes that are known which node has which slot; the first answer counts, and is put right by `MOVED`.
    async fn learn(&self) -> Result<(), StoreFault> {
        let (trusted, suspected) = self.lock().addresses();
        let all = |addresses: &[String]| self.way.places(addresses).collect::<Vec<_>>();
        // A seed may be another name of a node that is suspected.
        let seeds = self.seeds.iter().cloned();
        let known = all(&trusted).into_iter().map(|target| (target, true));
        let others = all(&suspected).into_iter().chain(seeds).map(|target| (target, trusted.is_empty()));
        let answers: FuturesUnordered<_> = known
            .chain(others)
            .map(|(target, is_trusted)| async move { (is_trusted, self.ask_for_slots(target).await) })
            .collect();
        let ranges = first_trusted(answers)
            .await
            .unwrap_or_else(|| Err(StoreFault::refused("no node of the cluster is named")))?;
        let mut map = self.lock();
        let nodes: Vec<_> =
            ranges.into_iter().map(|(slots, node)| (slots, self.node(&mut map, &node))).collect();
        map.renew(nodes);
        Ok(())
    }

    async fn ask_for_slots(&self, target: Target) -> Result<Vec<slot::Range>, StoreFault> {
        let asked = async {
            let mut line = Line::open(&target).await?;
            line.say(&[b"CLUSTER", b"SLOTS"], &target).await?;
            slot::read(&line, &target)
        };
        timeout(target.response_timeout, asked).await.unwrap_or_else(|_| {
            Err(StoreFault::unavailable(format!("Redis at {} did not answer in time", target.address)))
        })
    }

    /// Every node that has slots.
    pub(super) async fn nodes(&self) -> Result<Vec<Arc<Node>>, StoreFault> {
        if self.lock().is_older_than(STALE) {
            let _one = self.learning.lock().await;
            self.learn().await?;
        }
        Ok(self.lock().nodes())
    }

    /// What all nodes say about themselves, as one. What a part of them has lost counts as another history.
    pub(super) async fn describe(&self, prefix: &str) -> Result<StoreReport, StoreFault> {
        let nodes = self.nodes().await?;
        let mut read = ::redis::Pipeline::with_capacity(1);
        read.cmd("INFO");
        let said = join_all(nodes.iter().map(|node| node.calls.query::<(String,)>(&read))).await;
        for (node, _) in nodes.iter().zip(&said).filter(|(_, said)| said.is_err()) {
            self.lock().suspect(&node.calls.address());
        }
        let said: Result<Vec<_>, _> = said.into_iter().collect();
        let mut report = report::of_all(said?.iter().map(|(info,)| report::read(info)).collect());
        let canaries = self.canaries(prefix).await?;
        report.replication_id = report.replication_id.map(|id| format!("{id}/{canaries}"));
        Ok(report)
    }

    fn lock(&self) -> MutexGuard<'_, Map> {
        // Whoever held it has assigned whole values only.
        self.map.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The first that a trusted node says. A node that is cut off goes on answering, so what the others say counts only
/// where none of those has an answer.
async fn first_trusted<T>(
    mut answers: impl Stream<Item = (bool, Result<T, StoreFault>)> + Unpin,
) -> Option<Result<T, StoreFault>> {
    let mut other: Option<Result<T, StoreFault>> = None;
    while let Some((is_trusted, answer)) = answers.next().await {
        match answer {
            Ok(said) if is_trusted => return Some(Ok(said)),
            answer if !matches!(other, Some(Ok(_))) => other = Some(answer),
            _ => {}
        }
    }
    other
}

fn host_of(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use futures_util::stream::iter;

    use super::*;

    #[tokio::test]
    async fn a_node_that_is_suspected_is_believed_last() {
        let silent = || Err(StoreFault::unavailable("silent"));
        let first = async |answers: Vec<(bool, Result<u8, StoreFault>)>| first_trusted(iter(answers)).await;
        assert_eq!(
            first(vec![(false, Ok(1)), (true, silent()), (true, Ok(2)), (true, Ok(3))]).await,
            Some(Ok(2))
        );
        assert_eq!(first(vec![(false, Ok(1)), (true, silent()), (false, Ok(2))]).await, Some(Ok(1)));
        assert_eq!(first(vec![(true, silent()), (false, silent())]).await, Some(silent()));
        assert_eq!(first(Vec::new()).await, None);
    }
}
