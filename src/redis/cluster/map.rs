//! What is known of a cluster: its nodes, and which has which slot.

use std::collections::{BTreeSet, HashMap};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::slot::SLOTS;
use crate::redis::node::Node;

/// A node that does not answer is not asked about more often than this.
const AT_MOST: Duration = Duration::from_millis(50);
/// What a node says of the map is not believed for so long after it did not serve, where others say something.
const SUSPECTED: Duration = Duration::from_secs(5);

/// A node and its address.
pub(super) type Found = (String, Arc<Node>);

#[derive(Debug, Default)]
pub(super) struct Map {
    nodes: HashMap<String, Arc<Node>>,
    /// The address of each slot's node; empty before the first look.
    slots: Vec<Option<Arc<str>>>,
    learnt: Option<Instant>,
    /// Something has shown that it may be wrong.
    doubted: bool,
    /// When a node last did not serve: it may be cut off, and know nothing of what has changed.
    suspects: HashMap<String, Instant>,
}

impl Map {
    pub(super) fn is_known(&self) -> bool {
        self.learnt.is_some() && !(self.doubted && self.is_older_than(AT_MOST))
    }

    pub(super) fn is_older_than(&self, age: Duration) -> bool {
        self.learnt.is_none_or(|learnt| learnt.elapsed() >= age)
    }

    /// It is asked for again before it is used.
    pub(super) fn doubt(&mut self) {
        self.doubted = true;
    }

    /// The same, because of this node.
    pub(super) fn suspect(&mut self, address: &str) {
        self.doubt();
        self.suspects.insert(address.to_owned(), Instant::now());
    }

    /// The node at an address, made where there is none yet.
    pub(super) fn node(&mut self, address: &str, make: impl FnOnce() -> Node) -> Found {
        let node = self.nodes.entry(address.to_owned()).or_insert_with(|| Arc::new(make()));
        (address.to_owned(), Arc::clone(node))
    }

    pub(super) fn assign(&mut self, slots: RangeInclusive<u16>, (address, _): Found) {
        self.slots.resize(SLOTS, None);
        let address: Arc<str> = address.into();
        for slot in slots {
            if let Some(place) = self.slots.get_mut(usize::from(slot)) {
                *place = Some(Arc::clone(&address));
            }
        }
    }

    /// Takes in who has what now. Nodes without slots are let go.
    pub(super) fn renew(&mut self, ranges: Vec<(RangeInclusive<u16>, Found)>) {
        let kept: BTreeSet<&String> = ranges.iter().map(|(_, (address, _))| address).collect();
        self.nodes.retain(|address, _| kept.contains(address));
        self.slots.clear();
        for (slots, node) in ranges {
            self.assign(slots, node);
        }
        self.learnt = Some(Instant::now());
        self.doubted = false;
    }

    pub(super) fn node_of(&self, slot: u16) -> Option<Found> {
        let address = self.slots.get(usize::from(slot))?.as_ref()?;
        let node = self.nodes.get(&**address)?;
        Some((address.to_string(), Arc::clone(node)))
    }

    /// The addresses of all nodes; apart from them, of those that are suspected.
    pub(super) fn addresses(&mut self) -> (Vec<String>, Vec<String>) {
        self.suspects.retain(|_, since| since.elapsed() < SUSPECTED);
        self.nodes.keys().cloned().partition(|address| !self.suspects.contains_key(address))
    }

    /// The nodes that have slots; one that slots are only moving to may be known besides.
    pub(super) fn nodes(&self) -> Vec<Arc<Node>> {
        let addresses: BTreeSet<&Arc<str>> = self.slots.iter().flatten().collect();
        addresses.into_iter().filter_map(|address| self.nodes.get(&**address)).cloned().collect()
    }
}
