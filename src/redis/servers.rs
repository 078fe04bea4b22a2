//! What stands behind the store: one server, or the nodes of a cluster.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use ::redis::{FromRedisValue, Pipeline, Value};
use futures_util::FutureExt;

use super::claims::{self, To, Tokens};
use super::cluster::{Cluster, Elsewhere, Outcome, Visit, slot};
use super::compact::{self, Confirmed};
use super::completions;
use super::connection::Trouble;
use super::duplicates::Duplicate;
use super::fault::fault_of;
use super::kept::Wait;
use super::node::{Lane, Node};
use super::redirect::Redirect;
use super::report;
use super::together::{Batch, Numbers, Whole};
use super::wire::Call;
use crate::store::{
    Claim, ClaimRequest, Completed, Completion, Keyed, Renewal, Renewed, StoreFault, StoreReport,
};

#[derive(Debug)]
pub(super) enum Servers {
    One(Box<Node>),
    Cluster(Box<Cluster>),
}

impl Servers {
    pub(super) fn address(&self) -> String {
        match self {
            Self::One(node) => node.calls.address(),
            Self::Cluster(cluster) => cluster.address(),
        }
    }

    pub(super) async fn load_functions(&self) -> Result<(), StoreFault> {
        match self {
            Self::One(node) => node.calls.load_functions().await,
            Self::Cluster(cluster) => {
                for node in cluster.nodes().await? {
                    node.calls.load_functions().await?;
                }
                Ok(())
            }
        }
    }

    pub(super) async fn describe(&self, prefix: &str) -> Result<StoreReport, StoreFault> {
        match self {
            Self::One(node) => {
                let mut read = Pipeline::with_capacity(1);
                read.cmd("INFO");
                let (info,): (String,) = node.calls.query(&read).await?;
                Ok(report::read(&info))
            }
            Self::Cluster(cluster) => cluster.describe(prefix).await,
        }
    }

    /// Commands about one key. While its slot moves they wait until it has.
    pub(super) async fn query<T: FromRedisValue + Send>(
        &self,
        key: &str,
        commands: &Pipeline,
    ) -> Result<T, StoreFault> {
        let cluster = match self {
            Self::One(node) => return node.calls.query(commands).await,
            Self::Cluster(cluster) => cluster,
        };
        let answers = cluster.each(vec![slot::of(key.as_bytes())], |node, _, _| {
            async move {
                match node.calls.ask(commands).await {
                    Ok(answer) => Ok(vec![Outcome::Answer(answer)]),
                    Err(Trouble::Elsewhere(Redirect::Ask(_), _)) => {
                        Ok(vec![Outcome::Elsewhere(Redirect::Again)])
                    }
                    Err(Trouble::Elsewhere(redirect, _)) => Ok(vec![Outcome::Elsewhere(redirect)]),
                    Err(Trouble::Fault(fault)) => Err(fault),
                }
            }
            .boxed()
        });
        let one = answers.await?.into_iter().next();
        one.ok_or_else(|| StoreFault::unavailable("a cluster of Redis gave no answer"))
    }

    /// Asks the functions.
    pub(super) async fn call<R: Call>(
        &self,
        lane: Lane,
        requests: &[R],
    ) -> Result<Vec<R::Answer>, StoreFault> {
        if requests.is_empty() {
            return Ok(Vec::new());
        }
        match self {
            Self::One(node) => node.call(lane, requests).await,
            Self::Cluster(cluster) => {
                let asked = cluster.each(slots(requests), |node, visit, numbers| {
                    let some = numbers.iter().map(|number| &requests[*number]).collect();
                    async move { node.call_slots(lane, some, visit).await }.boxed()
                });
                asked.await
            }
        }
    }

    /// Extends leases. What one node answers counts, whatever becomes of the others: leases run out under live
    /// handlers, and those that are lost have to hear it.
    pub(super) async fn renew(&self, renewals: &[Renewal]) -> Result<Vec<Renewed>, StoreFault> {
        let cluster = match self {
            Self::Cluster(cluster) if !renewals.is_empty() => cluster,
            _ => return self.call(Lane::Renewals, renewals).await,
        };
        let (answers, fault) = cluster
            .reach(slots(renewals), |node, visit, numbers| {
                let some = numbers.iter().map(|number| &renewals[*number]).collect();
                async move { node.call_slots(Lane::Renewals, some, visit).await }.boxed()
            })
            .await;
        match fault {
            Some(fault) if answers.iter().all(Option::is_none) => Err(fault),
            fault => {
                if let Some(fault) = fault {
                    tracing::warn!(%fault, "some claims could not be renewed");
                }
                Ok(answers.into_iter().map(|answer| answer.unwrap_or(Renewed::Unanswered)).collect())
            }
        }
    }

    /// Claims by plain commands.
    pub(super) async fn claims(
        &self,
        requests: &[ClaimRequest],
        tokens: &Tokens,
        aware: bool,
        together: Option<Numbers>,
    ) -> Result<claims::Native, StoreFault> {
        let cluster = match self {
            Self::One(node) => {
                let native = node.claims(requests, tokens, To::One { aware, together }).await?;
                node.stays(&native.elsewhere)?;
                return Ok(native);
            }
            Self::Cluster(cluster) => cluster,
        };
        let confirmed = Mutex::new(Confirmed::Unneeded);
        let confirmed_so_far = &confirmed;
        let answers = cluster.each(slots(requests), |node, visit, numbers| {
            async move {
                let some: Vec<_> = numbers.iter().map(|number| requests[*number].clone()).collect();
                let native = node.claims(&some, tokens, To::Node { asking: visit.asking }).await?;
                let mut so_far = confirmed_so_far.lock().unwrap_or_else(PoisonError::into_inner);
                if *so_far != Confirmed::Missing && native.confirmed != Confirmed::Unneeded {
                    *so_far = native.confirmed;
                }
                Ok(outcomes(native.answers, native.elsewhere))
            }
            .boxed()
        });
        let answers = answers.await?;
        let mut confirmed = confirmed.into_inner().unwrap_or_else(PoisonError::into_inner);
        if confirmed == Confirmed::Elsewhere {
            confirmed =
                if signed(cluster, requests).await? { Confirmed::Missing } else { Confirmed::Unneeded };
        }
        Ok(claims::Native {
            answers,
            confirmed,
            elsewhere: Vec::new(),
            granted: None,
            nothing_new: false,
            duplicates: Vec::new(),
            misplaced: Vec::new(),
        })
    }

    /// Tells duplicates of what took effect, where that takes no function, and takes away a batch that nothing stands in.
    pub(super) async fn tell(
        &self,
        requests: &[ClaimRequest],
        duplicates: &[Duplicate],
        empty: Option<Batch>,
    ) -> Result<Vec<(usize, Claim)>, StoreFault> {
        match self {
            Self::One(node) if !duplicates.is_empty() || empty.is_some() => {
                node.tell(requests, duplicates, empty).await
            }
            _ => Ok(Vec::new()),
        }
    }

    /// Whether claims can be made and ended together.
    pub(super) fn hold_batches(&self) -> bool {
        // What belongs together lies in different slots of a cluster.
        matches!(self, Self::One(_))
    }

    /// Ends a batch as a whole; whether that could be.
    pub(super) async fn end(&self, whole: &Whole) -> Result<bool, StoreFault> {
        match self {
            Self::One(node) => node.end(whole).await,
            Self::Cluster(_) => Ok(false),
        }
    }

    /// Completions by plain commands.
    pub(super) async fn completions(
        &self,
        completions: &[Completion],
        batches: &HashMap<u64, Batch>,
    ) -> Result<completions::Native, StoreFault> {
        let cluster = match self {
            Self::One(node) => {
                let native = node.completions(completions, batches, false).await?;
                node.stays(&native.elsewhere)?;
                return Ok(native);
            }
            Self::Cluster(cluster) => cluster,
        };
        let amends = Mutex::new(Vec::new());
        let amends_so_far = &amends;
        let answers = cluster.each(slots(completions), |node, visit, numbers| {
            async move {
                let some: Vec<_> = numbers.iter().map(|number| completions[*number].clone()).collect();
                let native = node.completions(&some, batches, visit.asking).await?;
                amends_so_far.lock().unwrap_or_else(PoisonError::into_inner).extend(native.amends);
                match native.refusal {
                    Some(refusal) => Err(fault_of(&node.calls.address(), &refusal.0)),
                    None => Ok(outcomes(native.answers, native.elsewhere)),
                }
            }
            .boxed()
        });
        let answers = answers.await;
        let amends = amends.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Err(fault) = answers {
            // What was written and is not right is put right all the same.
            self.call(Lane::Calls, &amends).await?;
            return Err(fault);
        }
        Ok(completions::Native { answers: answers?, amends, ..completions::Native::default() })
    }

    /// Completions that count when so many replicas have them.
    pub(super) async fn keep(
        &self,
        completions: &[Completion],
        wait: Wait,
    ) -> Result<Vec<Completed>, StoreFault> {
        let cluster = match self {
            Self::One(node) => {
                let outcomes = node.keep(completions, wait, Visit::default()).await?;
                let answers = outcomes.into_iter().map(|outcome| match outcome {
                    Outcome::Answer(answer) => Ok(answer),
                    Outcome::Elsewhere(_) => Err(fault_of(&node.calls.address(), b"MOVED")),
                });
                return answers.collect();
            }
            Self::Cluster(cluster) => cluster,
        };
        let asked = cluster.each(slots(completions), |node, mut visit, numbers| {
            async move {
                let some: Vec<_> = numbers.iter().map(|number| completions[*number].clone()).collect();
                // The first time something was in the way, as a slot that moves.
                if visit.alone && !visit.asking {
                    visit.aside = cluster.bucket_beside(&node, &slots(&some));
                }
                node.keep(&some, wait, visit).await
            }
            .boxed()
        });
        asked.await
    }
}

/// Whether any of the buckets of these requests keeps ends in short; asked where the slots are.
async fn signed(cluster: &Cluster, requests: &[ClaimRequest]) -> Result<bool, StoreFault> {
    let signs: BTreeMap<String, u8> = compact::signs(requests.iter().map(|request| &request.key));
    let slots: Vec<u16> = signs.values().map(|bucket| slot::of_bucket(*bucket)).collect();
    let signs: Vec<&String> = signs.keys().collect();
    let signs = &signs;
    let found = cluster.each(slots, |node, visit, numbers| {
        async move {
            let mut outcomes = Vec::with_capacity(numbers.len());
            for number in numbers {
                let mut look = Pipeline::with_capacity(2);
                if visit.asking {
                    look.cmd("ASKING").ignore();
                }
                look.get(signs[number]);
                outcomes.push(match node.calls.ask::<(Value,)>(&look).await {
                    Ok((value,)) => Outcome::Answer(value != Value::Nil),
                    Err(Trouble::Elsewhere(redirect, _)) => Outcome::Elsewhere(redirect),
                    Err(Trouble::Fault(fault)) => return Err(fault),
                });
            }
            Ok(outcomes)
        }
        .boxed()
    });
    Ok(found.await?.contains(&true))
}

fn slots<R: Keyed>(requests: &[R]) -> Vec<u16> {
    requests.iter().map(|request| slot::of_bucket(request.key().bucket())).collect()
}

fn outcomes<T>(answers: Vec<T>, elsewhere: Vec<Elsewhere>) -> Vec<Outcome<T>> {
    let mut outcomes: Vec<Outcome<T>> = answers.into_iter().map(Outcome::Answer).collect();
    for Elsewhere { number, redirect, .. } in elsewhere {
        outcomes[number] = Outcome::Elsewhere(redirect);
    }
    outcomes
}
