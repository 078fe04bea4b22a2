//! A pod's hold on the world, which its fate may take away at every step.

use std::{fmt, sync::Arc, time::Duration};

use tokio::{sync::Notify, time};
use tokio_util::sync::CancellationToken;

use super::{
    history::{Pod, What},
    member,
    plan::SESSION,
    world::World,
};
use crate::testing::fate::{Fate, State};

/// A pod, as everything in it reaches the world.
#[derive(Clone)]
pub(super) struct Seam {
    pub(super) pod: Pod,
    pub(super) fate: Arc<Fate>,
    pub(super) world: Arc<World>,
    /// Its polling loop has something to look at.
    pub(super) bell: Arc<Notify>,
    /// Fires when it is to end politely.
    pub(super) leaves: CancellationToken,
}

impl fmt::Debug for Seam {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seam").field("pod", &self.pod).finish_non_exhaustive()
    }
}

impl Seam {
    /// One more pod.
    pub(super) fn start(world: &Arc<World>) {
        let mut things = world.things();
        things.last_pod += 1;
        let seam = Self {
            pod: things.last_pod,
            fate: Arc::default(),
            world: Arc::clone(world),
            bell: Arc::default(),
            leaves: CancellationToken::new(),
        };
        things.pods.insert(seam.pod, seam.clone());
        drop(things);
        world.happen(What::Started(seam.pod));
        tokio::spawn(member::run(seam));
    }

    /// A step of whatever the pod does: it may take time, and the pod may end there.
    pub(super) async fn step(&self) {
        self.fate.gate().await;
        let (dies, pause) = {
            let mut things = self.world.things();
            let rates = if things.is_calm { Default::default() } else { self.world.plan.rates };
            let pause = things.dice.thousandths(rates.slow).then(|| match things.dice.below(60) {
                // Longer than a lease.
                0 => things.dice.millis(2_500..6_000),
                1..20 => Duration::ZERO,
                _ => things.dice.millis(1..60),
            });
            (things.dice.thousandths(rates.crash), pause)
        };
        if dies {
            self.die();
        }
        match pause {
            Some(Duration::ZERO) => tokio::task::yield_now().await,
            Some(pause) => time::sleep(pause).await,
            None => {}
        }
        self.fate.gate().await;
    }

    /// Ends at once. The group notices later, and somebody starts another one.
    pub(super) fn die(&self) {
        if self.fate.state() == State::Dead {
            return;
        }
        self.fate.turn(State::Dead);
        self.world.things().pods.remove(&self.pod);
        self.world.happen(What::Died(self.pod));
        let (seam, again) = (self.clone(), self.world.things().dice.millis(1..4_000));
        tokio::spawn(async move {
            time::sleep(SESSION.min(again)).await;
            if again < SESSION {
                Self::start(&seam.world);
            }
            time::sleep(SESSION.saturating_sub(again)).await;
            seam.world.put_out(seam.pod, Duration::ZERO);
            if again >= SESSION {
                Self::start(&seam.world);
            }
        });
    }

    /// Stands still for so long, and does not know.
    pub(super) fn freeze(&self, time: Duration) {
        if self.fate.state() != State::Alive {
            return;
        }
        self.fate.turn(State::Frozen);
        self.world.happen(What::Froze(self.pod));
        let seam = self.clone();
        tokio::spawn(async move {
            time::sleep(time.min(SESSION)).await;
            if time > SESSION {
                // It learns of it as soon as it polls.
                seam.world.put_out(seam.pod, time - SESSION);
                time::sleep(time - SESSION).await;
            }
            if seam.fate.state() == State::Frozen {
                seam.world.happen(What::Thawed(seam.pod));
                seam.fate.turn(State::Alive);
            }
        });
    }

    pub(super) fn leave(&self) {
        self.leaves.cancel();
        self.bell.notify_one();
    }
}
