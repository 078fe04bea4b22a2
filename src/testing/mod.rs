//! For the tests of handlers: the pipeline of production, between a broker and a dedupe store in memory. No network, no
//! services, milliseconds for a test. With the feature `testing`, which belongs in `[dev-dependencies]`:
//!
//! ```toml
//! [dev-dependencies]
//! oncewise = { version = "0.1", features = ["testing"] }
//! tokio = { version = "1", features = ["macros", "rt"] }
//! ```
//!
//! | to test | take |
//! |---|---|
//! | what a handler does with one event | [`context`], and call `handle` |
//! | that it retries, rejects, publishes, and copes with deliveries that repeat | a [`Harness`] |
//! | what a certain fault leads to | [`Harness::at`], with a [`Moment`] and a [`Fault`] |
//! | that it takes effect once whatever goes wrong | [`check_idempotent`] |
//!
//! # A harness
//!
//! [`Harness::deliver`] puts a record into the log, and returns when it is settled and its offset is committed, through
//! retries, faults and further processes. What came of it, the test asks afterwards.
//!
//! ```
//! # use std::sync::{Arc, Mutex};
//! # use oncewise::{prelude::*, testing::{Disposition, Fault, Harness, How, Moment}};
//! # #[derive(Clone, Default)]
//! # struct Bank(Arc<Mutex<Vec<i64>>>);
//! # impl Bank {
//! #     fn charges(&self) -> usize { self.0.lock().unwrap().len() }
//! # }
//! # struct Charge { bank: Bank }
//! # impl Handler for Charge {
//! #     const NAME: &'static str = "charge";
//! #     type Event = i64;
//! #     fn dedupe_key(&self, cents: &i64, _: &Metadata) -> DedupeKey { DedupeKey::of(cents) }
//! #     async fn handle(&self, cents: &i64, ctx: &Context) -> Outcome {
//! #         if *cents < 0 { return Err(Failure::reject("a negative amount")); }
//! #         self.bank.0.lock().unwrap().push(*cents);
//! #         done()
//! #     }
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let bank = Bank::default();
//! let mut harness = Harness::new(Charge { bank: bank.clone() });
//!
//! harness.deliver_twice("100").await;
//! assert_eq!(harness.outcomes(), [How::Done, How::Duplicate]);
//! assert_eq!(bank.charges(), 1);
//!
//! harness.deliver("-5").await;
//! assert_eq!(harness.letters()[0].disposition, Disposition::Rejected);
//!
//! // Nothing outside of the effect can close this gap; `ctx.idempotency_key()` or an inbox does.
//! harness.at(Moment::AfterEffect, Fault::Crash).deliver("200").await;
//! assert_eq!(bank.charges(), 3);
//! # }
//! ```
//!
//! A [`Service`](crate::Service) is tested the same way, with all its topics, and with the topics that it publishes to; a
//! handler alone may publish nowhere. [`Harness::configure`] changes what an operator would.
//!
//! # Time
//!
//! A test is a `#[tokio::test]`, whose runtime has one thread. While the harness waits for a back-off, a lease or an
//! outage, and no code of the author runs, tokio's clock is paused and jumps to where something happens next: minutes of
//! retries cost nothing. While the author's code runs, and between deliveries, time is as it always is, so that
//! databases, sockets and their time-outs work. A handler that sleeps by itself sleeps in real time; in a
//! `#[tokio::test(start_paused = true)]` it does not, but there nothing may wait for the outside world.
//!
//! Delays have no jitter: each is the longest that the policy allows, so that a run can be repeated.
//!
//! # How a process dies
//!
//! A [`Fault::Crash`] ends everything of the process at once. Its tasks never get further than where they wait, and reach
//! neither store nor broker any more; nothing is given back. The next process starts from the committed offsets,
//! over the same store, and waits for the leases of the one before it.
//!
//! A handler is torn only where it waits, at an `.await` that is not ready; what it does between two of them is done as a
//! whole. There its future is dropped, so that transactions are rolled back as a database does when a connection breaks.
//! What is not the handler's future lives on: tasks and threads that it has started, and the values it shares with the test.
//! With [`Harness::new`] the handler itself does, too; [`Harness::restarting`] and [`check_idempotent`] make a new one for
//! each process, so that nothing kept in its memory helps.
//!
//! A [`Fault::Stall`] is how a lease runs out under a live handler: the process does nothing at all, as in a pause of its
//! container or its virtual machine, while another one takes the event over; then it goes on.

mod broker;
mod context;
mod fate;
mod fault;
mod handler;
mod harness;
mod idempotence;
mod passage;
mod process;
mod producer;
mod record;
#[cfg(test)]
mod sim;
mod store;
mod subject;
mod verdict;
mod world;
mod written;

pub use crate::pipeline::{How, dead_letter::Disposition};
#[cfg(test)]
pub(crate) use context::record;
pub use context::{context, published};
pub use fault::{Fault, Moment};
pub use harness::Harness;
pub use idempotence::check_idempotent;
pub use record::TestRecord;
pub use subject::Subject;
pub use verdict::NotIdempotent;
pub use written::{Letter, Published};

#[cfg(test)]
mod tests;
