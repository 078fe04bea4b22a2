//! Keeps two replays from the same partition: whoever replays one holds a claim on it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::guarded::Guarded;
use crate::store::{
    Claim, ClaimRequest, DedupeStore, Held, OwnerFactory, Release, Renewal, Run, StoreFault, StoreKey,
    StoreReport,
};

/// How long a partition stays taken after its replay has died.
const LEASE: Duration = Duration::from_secs(6);
/// Long enough to outlive any pause of a machine between two renewals.
const RETENTION: Duration = Duration::from_secs(24 * 3600);
/// Between two renewals. Whoever wants the same partition sees by the next one that its replay is alive.
const RENEW: Duration = Duration::from_secs(1);
/// Between two tries to take a partition.
const TRY_AGAIN: Duration = Duration::from_millis(250);

/// The partitions of a replay, taken; free again when this is released, or some seconds after it is dropped.
#[derive(Debug)]
pub(super) struct Taken {
    store: Arc<dyn DedupeStore>,
    guarded: Arc<Guarded>,
    held: Vec<Held>,
    /// Fires when another replay has taken one of them over, or the store has forgotten that they are taken.
    pub(super) lost: CancellationToken,
    _renewing: DropGuard,
}

/// Why partitions could not be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum TakeError {
    #[error(
        "partition {partition} of {topic} is being replayed already; two replays of one partition do not run at once"
    )]
    Busy { topic: String, partition: i32 },
    #[error(transparent)]
    Store(#[from] StoreFault),
}

impl Taken {
    /// Takes these partitions, all or none. Waits for the lease of a replay that has died, and for no other.
    pub(super) async fn take(
        store: &Arc<dyn DedupeStore>,
        prefix: &str,
        group: &str,
        partitions: &[(String, i32)],
    ) -> Result<Self, TakeError> {
        let owners = OwnerFactory::new();
        let requests: Vec<ClaimRequest> = partitions
            .iter()
            .map(|(topic, partition)| ClaimRequest {
                key: guard(prefix, group, topic, *partition),
                owner: owners.delivery(0, topic, *partition, 0),
                lease: LEASE,
                retention: RETENTION,
                max_deliveries: u32::MAX,
                fingerprint: None,
                hop: 0,
            })
            .collect();
        let report = store.describe().await?;
        let patience = Instant::now() + LEASE + RENEW;
        let mut leases: BTreeMap<&(String, i32), Duration> = BTreeMap::new();
        loop {
            let answers = store.claim(&requests).await?;
            let mut held = Vec::new();
            let (mut busy, mut lives) = (None, false);
            for ((request, answer), place) in requests.iter().zip(answers).zip(partitions) {
                match answer {
                    Claim::Won(grant) | Claim::TakenOver(grant) | Claim::Spent(grant) => held.push(Held {
                        key: request.key.clone(),
                        owner: request.owner.clone(),
                        token: grant.token,
                        hop: 0,
                    }),
                    Claim::Busy { left } => {
                        // A lease that grows is renewed by somebody.
                        let grows = leases.insert(place, left).is_some_and(|before| before < left);
                        (busy, lives) = (Some(place), lives || grows);
                    }
                    _ => busy = Some(place),
                }
            }
            let Some((topic, partition)) = busy.cloned() else {
                return Ok(Self::renewed(store, held, report));
            };
            release(&**store, held).await?;
            if lives || Instant::now() >= patience {
                return Err(TakeError::Busy { topic, partition });
            }
            tokio::time::sleep(TRY_AGAIN).await;
        }
    }

    fn renewed(store: &Arc<dyn DedupeStore>, held: Vec<Held>, report: StoreReport) -> Self {
        let (stop, lost) = (CancellationToken::new(), CancellationToken::new());
        let (store, renewals) = (Arc::clone(store), held.iter().map(renewal).collect());
        let guarded = Arc::new(Guarded::new(Arc::clone(&store), renewals, report, lost.clone()));
        tokio::spawn(stop.clone().run_until_cancelled_owned(renew(Arc::clone(&guarded))));
        Self { store, guarded, held, lost, _renewing: stop.drop_guard() }
    }

    /// The store, as long as it knows that they are taken.
    pub(super) fn store(&self) -> Arc<dyn DedupeStore> {
        Arc::clone(&self.guarded) as Arc<dyn DedupeStore>
    }

    /// By whom the first of them is held, for others to see that this one is alive.
    pub(super) fn owner(&self) -> Option<String> {
        self.held.first().map(|held| held.owner.to_string())
    }

    /// Lets others have them at once.
    pub(super) async fn release(self) -> Result<(), StoreFault> {
        release(&*self.store, self.held).await
    }
}

/// What a replay of this partition holds.
pub(super) fn guard(prefix: &str, group: &str, topic: &str, partition: i32) -> StoreKey {
    // No handler has an empty name.
    StoreKey::new(prefix, group, "", format!("replay:{topic}:{partition}"))
}

fn renewal(held: &Held) -> Renewal {
    Renewal {
        held: held.clone(),
        lease: LEASE,
        retention: RETENTION,
        attempts: 0,
        first_failure_ms: None,
        run: Run::Unknown,
        fingerprint: None,
    }
}

async fn renew(guarded: Arc<Guarded>) {
    let mut turns = tokio::time::interval(RENEW);
    loop {
        turns.tick().await;
        // While the store cannot be asked nobody else can take them either.
        drop(guarded.look().await);
    }
}

async fn release(store: &dyn DedupeStore, held: Vec<Held>) -> Result<(), StoreFault> {
    let free = |held| Release {
        held,
        delay: Duration::ZERO,
        retention: RETENTION,
        attempts: 0,
        first_failure_ms: None,
        in_doubt: false,
    };
    store.release(&held.into_iter().map(free).collect::<Vec<_>>()).await.map(drop)
}
