//! A pod's line to the dedupe store, and what is seen there.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use tokio::time::{self, Instant};

use super::{
    Broken,
    history::{Holder, What},
    plan::LEASE,
    pod::Seam,
    world::{Line, World},
};
use crate::store::{
    Accepted, Anchors, Claim, ClaimRequest, Completed, Completion, DedupeStore, End, Forget, Forgotten, Held,
    Inspected, Layout, MemoryStore, Owner, Release, Released, Renewal, Renewed, StoreFault, StoreKey,
    StoreReport, conformance::TestStore,
};

/// The store as a pod sees it.
#[derive(Debug)]
pub(super) struct Claims(pub(super) Seam);

fn lost() -> StoreFault {
    StoreFault::unavailable("the schedule has lost it")
}

impl Claims {
    /// Sends a call over the line. Lost ones are carried out, or not, or later.
    async fn send<Q, A, F>(
        &self,
        requests: &[Q],
        carry_out: impl Fn(Arc<World>, Vec<Q>) -> F + Send + Sync + 'static,
    ) -> Result<Vec<A>, StoreFault>
    where
        Q: Clone + Send + Sync + 'static,
        A: Send + 'static,
        F: Future<Output = Result<Vec<A>, StoreFault>> + Send + 'static,
    {
        let world = &self.0.world;
        let requests = requests.to_vec();
        self.0.step().await;
        let line = world.line(true);
        match line {
            Line::RequestLost => return Err(lost()),
            Line::Late(late) => {
                let world = Arc::clone(world);
                tokio::spawn(async move {
                    time::sleep(late).await;
                    drop(carry_out(world, requests).await);
                });
                self.0.step().await;
                return Err(lost());
            }
            Line::Fine | Line::ReplyLost => {}
        }
        let answers = carry_out(Arc::clone(world), requests).await;
        self.0.step().await;
        if line == Line::ReplyLost { Err(lost()) } else { answers }
    }

    fn now(&self) -> Arc<MemoryStore> {
        Arc::clone(&self.0.world.things().store)
    }
}

impl World {
    /// The store, where it can be reached.
    fn store(&self) -> Result<Arc<MemoryStore>, StoreFault> {
        let things = self.things();
        if Instant::now() < things.store_back { Err(lost()) } else { Ok(Arc::clone(&things.store)) }
    }

    fn holder(&self, key: &StoreKey, owner: &Owner, token: u64) -> Holder {
        let process = owner.as_str().split('.').next().unwrap_or_default();
        let pod = u32::from_str_radix(process, 16).unwrap_or(0);
        Holder { pod, owner: owner.as_str().to_owned(), id: self.id_of(key), token }
    }

    /// Where that is broken, owners are the same in every assignment.
    fn rename(&self, owner: &mut Owner) {
        let parts: Vec<&str> = owner.as_str().split('.').collect();
        if self.broken == Some(Broken::OwnerWithoutEpoch)
            && let [process, _, rest @ ..] = &parts[..]
            && let Ok(renamed) = format!("{process}.{}", rest.join(".")).parse()
        {
            *owner = renamed;
        }
    }

    fn until_ms(&self) -> u64 {
        self.now_ms() + u64::try_from(LEASE.as_millis()).unwrap_or(u64::MAX)
    }
}

async fn claim(world: Arc<World>, mut requests: Vec<ClaimRequest>) -> Result<Vec<Claim>, StoreFault> {
    requests.iter_mut().for_each(|request| world.rename(&mut request.owner));
    let store = world.store()?;
    if world.broken == Some(Broken::TakesOverAtOnce) {
        for request in &requests {
            store.expire_lease(&request.key).await?;
        }
    }
    let answers = store.claim(&requests).await?;
    for (request, answer) in requests.iter().zip(&answers) {
        let (Claim::Won(grant) | Claim::TakenOver(grant) | Claim::Spent(grant)) = answer else { continue };
        let to = world.holder(&request.key, &request.owner, grant.token);
        let is_taken_over = !matches!(answer, Claim::Won(_));
        world.happen(What::Granted { to, until_ms: world.until_ms(), is_taken_over });
        if world.broken == Some(Broken::MarksBeforeWork) {
            let held = Held {
                key: request.key.clone(),
                owner: request.owner.clone(),
                token: grant.token,
                hop: request.hop,
            };
            let completion = Completion {
                held,
                end: End::Done,
                retention: request.retention,
                attempts: 1,
                first_failure_ms: None,
                fingerprint: None,
                layout: Layout::Keys,
            };
            store.complete(&[completion]).await?;
        }
    }
    Ok(answers)
}

async fn renew(world: Arc<World>, mut renewals: Vec<Renewal>) -> Result<Vec<Renewed>, StoreFault> {
    renewals.iter_mut().for_each(|renewal| world.rename(&mut renewal.held.owner));
    let answers = world.store()?.renew(&renewals).await?;
    for (Renewal { held, .. }, answer) in renewals.iter().zip(&answers) {
        let by = world.holder(&held.key, &held.owner, held.token);
        world.happen(What::Renewed { by, until_ms: world.until_ms(), answer: *answer });
    }
    Ok(answers)
}

async fn complete(world: Arc<World>, mut completions: Vec<Completion>) -> Result<Vec<Completed>, StoreFault> {
    completions.iter_mut().for_each(|completion| world.rename(&mut completion.held.owner));
    let answers = world.store()?.complete(&completions).await?;
    for (Completion { held, end, .. }, answer) in completions.iter().zip(&answers) {
        let by = world.holder(&held.key, &held.owner, held.token);
        world.happen(What::Completed { by, end: *end, answer: *answer });
    }
    Ok(answers)
}

async fn release(world: Arc<World>, mut releases: Vec<Release>) -> Result<Vec<Released>, StoreFault> {
    let store = world.store()?;
    releases.iter_mut().for_each(|release| world.rename(&mut release.held.owner));
    let answers = store.release(&releases).await?;
    for (Release { held, .. }, answer) in releases.iter().zip(&answers) {
        if world.broken == Some(Broken::ReleasesWhateverIsThere) && *answer == Released::NotOurs {
            store.lose(&held.key).await?;
        }
        let by = world.holder(&held.key, &held.owner, held.token);
        world.happen(What::Released { by, is_free: *answer == Released::Released });
    }
    Ok(answers)
}

#[async_trait]
impl DedupeStore for Claims {
    async fn claim(&self, requests: &[ClaimRequest]) -> Result<Vec<Claim>, StoreFault> {
        match self.send(requests, claim).await {
            Err(_) if self.0.world.broken == Some(Broken::SettlesOnAFault) => {
                Ok(vec![Claim::Done; requests.len()])
            }
            answers => answers,
        }
    }

    async fn renew(&self, renewals: &[Renewal]) -> Result<Vec<Renewed>, StoreFault> {
        self.send(renewals, renew).await
    }

    async fn complete(&self, completions: &[Completion]) -> Result<Vec<Completed>, StoreFault> {
        self.send(completions, complete).await
    }

    async fn release(&self, releases: &[Release]) -> Result<Vec<Released>, StoreFault> {
        self.send(releases, release).await
    }

    async fn inspect(&self, keys: &[StoreKey]) -> Result<Vec<Inspected>, StoreFault> {
        self.now().inspect(keys).await
    }

    async fn forget(&self, requests: &[Forget]) -> Result<Vec<Forgotten>, StoreFault> {
        self.now().forget(requests).await
    }

    async fn anchors(&self, group: &str, topic: &str) -> Result<Anchors, StoreFault> {
        self.now().anchors(group, topic).await
    }

    async fn anchor(
        &self,
        group: &str,
        topic: &str,
        partitions: i32,
        started: &[(i32, i64)],
    ) -> Result<(), StoreFault> {
        self.now().anchor(group, topic, partitions, started).await
    }

    async fn accept(
        &self,
        group: &str,
        topic: &str,
        partition: i32,
        position: Accepted,
    ) -> Result<(), StoreFault> {
        self.now().accept(group, topic, partition, position).await
    }

    async fn lost(&self, group: &str, topic: &str, partition: i32, from: i64) -> Result<(), StoreFault> {
        self.now().lost(group, topic, partition, from).await
    }

    async fn begun(
        &self,
        group: &str,
        topic: &str,
        partition: i32,
        topic_id: Option<&str>,
    ) -> Result<(), StoreFault> {
        self.now().begun(group, topic, partition, topic_id).await
    }

    async fn notes(&self, kind: &str) -> Result<BTreeMap<String, String>, StoreFault> {
        self.now().notes(kind).await
    }

    async fn note(&self, kind: &str, name: &str, text: Option<&str>) -> Result<(), StoreFault> {
        self.now().note(kind, name, text).await
    }

    async fn describe(&self) -> Result<StoreReport, StoreFault> {
        self.now().describe().await
    }
}
