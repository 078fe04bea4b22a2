//! Work for a cluster, while something happens to it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use oncewise::store::{
    Claim, ClaimRequest, Completed, Completion, DedupeStore, End, FaultKind, Layout, OwnerFactory, Renewal,
    Renewed, Run, StoreKey,
};

use crate::deployment::Cluster;
use crate::{HOUR, completion};

/// Events in batches, each of which two stores want to run: how often each was granted, and how long a call stalled.
pub(crate) struct Load {
    pub(crate) cluster: Cluster,
    pub(crate) layouts: &'static [Layout],
    pub(crate) over: AtomicBool,
    pub(crate) batches: AtomicUsize,
}

const BATCH: usize = 100;

impl Load {
    /// Repeats a call until it has an answer; remembers the longest time.
    async fn insist<T>(
        &self,
        longest: &mut Duration,
        mut call: impl AsyncFnMut() -> Result<T, oncewise::store::StoreFault>,
    ) -> T {
        let began = Instant::now();
        loop {
            match call().await {
                Ok(answer) => {
                    *longest = (*longest).max(began.elapsed());
                    return answer;
                }
                Err(fault) => {
                    assert_eq!(fault.kind, FaultKind::Unavailable, "{fault}");
                    assert!(began.elapsed() < Duration::from_secs(30), "stalled: {fault}");
                }
            }
        }
    }

    /// The keys that were granted, and the longest call.
    pub(crate) async fn run(&self, worker: usize) -> (Vec<StoreKey>, Duration) {
        let [one, other] = [self.cluster.store(), self.cluster.store()];
        let owners = OwnerFactory::new();
        let (mut keys, mut longest) = (Vec::new(), Duration::ZERO);
        while !self.over.load(Ordering::Relaxed) {
            let batch = self.batches.fetch_add(1, Ordering::Relaxed);
            let layout = self.layouts[batch % self.layouts.len()];
            let requests: Vec<ClaimRequest> = (0..BATCH)
                .map(|n| ClaimRequest {
                    key: StoreKey::new("oncewise", "group", "handler", format!("{batch}/{n}")),
                    owner: owners.delivery(1, "topic", worker as i32, (batch * BATCH + n) as i64),
                    lease: HOUR,
                    retention: HOUR,
                    max_deliveries: 3,
                    fingerprint: None,
                    hop: 0,
                })
                .collect();
            let theirs: Vec<ClaimRequest> = requests
                .iter()
                .map(|request| ClaimRequest { owner: crate::request("").owner, ..request.clone() })
                .collect();
            // Both want it at the same moment, and only one may have it.
            let mut stalls = [Duration::ZERO; 2];
            let [mine_stall, theirs_stall] = &mut stalls;
            let (ours, others) = tokio::join!(
                self.insist(mine_stall, async || one.claim(&requests).await),
                self.insist(theirs_stall, async || other.claim(&theirs).await)
            );
            longest = stalls.into_iter().fold(longest, Duration::max);
            let mut ends = Vec::new();
            let mut renewals = Vec::new();
            for (n, (ours, others)) in ours.iter().zip(&others).enumerate() {
                let (request, grant) = match (ours, others) {
                    (Claim::Won(grant), Claim::Busy { .. }) => (&requests[n], grant),
                    (Claim::Busy { .. }, Claim::Won(grant)) => (&theirs[n], grant),
                    doubled_or_lost => panic!("{n}: {doubled_or_lost:?}"),
                };
                let end = Completion { layout, ..completion(request, grant.token, End::Done) };
                renewals.push(Renewal {
                    held: end.held.clone(),
                    lease: HOUR,
                    retention: HOUR,
                    attempts: 0,
                    first_failure_ms: None,
                    run: Run::Unknown,
                    fingerprint: None,
                });
                ends.push(end);
                keys.push(request.key.clone());
            }
            let kept = self.insist(&mut longest, async || one.renew(&renewals).await).await;
            assert_eq!(kept, [Renewed::Kept; BATCH]);
            let done = self.insist(&mut longest, async || one.complete(&ends).await).await;
            assert_eq!(done, [Completed::Recorded; BATCH]);
            // Whoever comes later finds that it has ended.
            let late = self.insist(&mut longest, async || other.claim(&theirs).await).await;
            assert_eq!(late, [Claim::Done; BATCH]);
        }
        (keys, longest)
    }
}
