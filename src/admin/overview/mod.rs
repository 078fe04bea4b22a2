//! What one picture of this process shows: how it is, what waits and why, and how that was a while ago.
//!
//! | file         | has                                                          |
//! |--------------|--------------------------------------------------------------|
//! | `process`    | the whole picture, as it is answered                         |
//! | `service`    | one service, its handlers and partitions, read from metrics  |
//! | `findings`   | what is stuck and why, in sentences (pure)                   |
//! | `history`    | the last quarter of an hour, sample by sample (pure)         |
//! | `partitions` | the same of single partitions, the worst of each service (pure) |
//! | `sampler`    | takes the samples                                            |
//! | `endpoints`  | `/status`, `/series…` and `/openapi.json`                    |

mod endpoints;
mod findings;
mod history;
mod partitions;
mod process;
mod sampler;
mod service;

pub(super) use endpoints::endpoints;
pub(super) use process::Watched;
pub(super) use sampler::sample;
