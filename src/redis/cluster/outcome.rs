//! How a node is visited, and what becomes of a request there.

use crate::redis::redirect::Redirect;

/// How a node is visited.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::redis) struct Visit {
    /// A call may not span slots.
    pub(in crate::redis) in_cluster: bool,
    /// The slots are only moving to it, and it has to be told that we know.
    pub(in crate::redis) asking: bool,
    /// A call may not carry several keys: they may be at two nodes.
    pub(in crate::redis) alone: bool,
    /// A bucket whose slot is not among those asked for, for what is written to be waited for.
    pub(in crate::redis) aside: Option<u8>,
}

/// What became of one request.
#[derive(Debug)]
pub(in crate::redis) enum Outcome<T> {
    Answer(T),
    Elsewhere(Redirect),
}

/// A request of a batch, counted from 0, that another node is to be asked.
#[derive(Debug)]
pub(in crate::redis) struct Elsewhere {
    pub(in crate::redis) number: usize,
    pub(in crate::redis) redirect: Redirect,
    /// What the server said.
    pub(in crate::redis) said: Vec<u8>,
}
