//! The consumer group, as its coordinator sees it: who is a member, who shall have which partition, and who has it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use super::{
    history::{Pod, What},
    world::World,
};

/// The group of all pods. As with the cooperative protocol, a partition is handed over by the member that has it.
#[derive(Debug)]
pub(super) struct Group {
    members: BTreeSet<Pod>,
    /// Who was put out, and when it learns of it.
    out: BTreeMap<Pod, Instant>,
    /// Who shall have each partition.
    wanted: Vec<Option<Pod>>,
    /// Who has each.
    owners: Vec<Option<Pod>>,
}

/// What a pod knows of its membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Membership {
    Member,
    /// It was put out and has not heard of it.
    Unaware,
    Lost,
}

impl Group {
    pub(super) fn of(partitions: usize) -> Self {
        let nobody = vec![None; partitions];
        Self { members: BTreeSet::new(), out: BTreeMap::new(), wanted: nobody.clone(), owners: nobody }
    }

    /// What a pod has to give up.
    pub(super) fn is_wanted(&self, pod: Pod, partition: usize) -> bool {
        self.wanted[partition] == Some(pod)
    }

    pub(super) fn is_owner(&self, pod: Pod, partition: usize) -> bool {
        self.owners[partition] == Some(pod)
    }

    pub(super) fn is_member(&self, pod: Pod) -> bool {
        self.members.contains(&pod)
    }

    /// Takes a partition that nobody has, if it is meant for this pod.
    pub(super) fn take(&mut self, pod: Pod, partition: usize) -> bool {
        let takes = self.owners[partition].is_none() && self.is_wanted(pod, partition) && self.is_member(pod);
        if takes {
            self.owners[partition] = Some(pod);
        }
        takes
    }

    pub(super) fn give_up(&mut self, pod: Pod, partition: usize) {
        if self.is_owner(pod, partition) {
            self.owners[partition] = None;
        }
    }
}

impl World {
    pub(super) fn membership(&self, pod: Pod) -> Membership {
        match self.things().group.out.get(&pod) {
            None => Membership::Member,
            Some(aware) if Instant::now() < *aware => Membership::Unaware,
            Some(_) => Membership::Lost,
        }
    }

    pub(super) fn join(&self, pod: Pod) {
        let mut things = self.things();
        things.group.out.remove(&pod);
        things.group.members.insert(pod);
        drop(things);
        self.rebalance(false);
    }

    /// Puts a pod out of the group; it hears of it so much later.
    pub(super) fn put_out(&self, pod: Pod, unaware: Duration) {
        let mut things = self.things();
        if !things.group.members.remove(&pod) {
            return;
        }
        things.group.out.insert(pod, Instant::now() + unaware);
        for owner in things.group.owners.iter_mut().filter(|owner| **owner == Some(pod)) {
            *owner = None;
        }
        let seam = things.pods.get(&pod).cloned();
        drop(things);
        self.happen(What::PutOut(pod));
        tokio::spawn(async move {
            tokio::time::sleep(unaware).await;
            if let Some(seam) = seam {
                seam.bell.notify_one();
            }
        });
        self.rebalance(false);
    }

    /// A pod leaves by itself.
    pub(super) fn quit(&self, pod: Pod) {
        self.things().group.out.remove(&pod);
        self.put_out(pod, Duration::ZERO);
    }

    /// Decides anew who shall have which partition; all of them, or only where that is needed.
    pub(super) fn rebalance(&self, all: bool) {
        let mut things = self.things();
        let things = &mut *things;
        let members: Vec<Pod> = things.group.members.iter().copied().collect();
        for wanted in &mut things.group.wanted {
            let stays = wanted.is_some_and(|pod| things.group.members.contains(&pod));
            // A member that has just come gets its share.
            let moves = all || !stays || things.dice.below(members.len()) == 1;
            if members.is_empty() {
                *wanted = None;
            } else if moves {
                *wanted = Some(things.dice.pick(&members));
            }
        }
        things.pods.values().for_each(|seam| seam.bell.notify_one());
    }

    /// Takes a partition away, to give it back to whom it belonged a moment later.
    pub(super) fn bounce(self: &Arc<Self>, partition: usize) {
        let mut things = self.things();
        let before = things.group.wanted[partition].take();
        let moment = things.dice.millis(1..1_500);
        things.pods.values().for_each(|seam| seam.bell.notify_one());
        drop(things);
        let world = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(moment).await;
            let mut things = world.things();
            if things.group.wanted[partition].is_none() {
                let known = before.filter(|pod| things.group.members.contains(pod));
                things.group.wanted[partition] = known;
            }
            drop(things);
            world.rebalance(false);
        });
    }
}
