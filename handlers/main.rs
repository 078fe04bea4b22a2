//! The shop's worker.
fn main() {}
