//! The seven steps, in the order they run.

pub mod retry;
