//! All pods of a service at once: what operators pause, and how the pods are.
//!
//! Both stand in one small compacted topic of Kafka, the control topic, which every process reads to its end before it
//! begins anything.
//!
//! |            |                                                                        |
//! |------------|------------------------------------------------------------------------|
//! | `scope`    | what a pause is about                                                  |
//! | `said`     | one record of the topic: small JSON values with a version              |
//! | `view`     | all of them together (pure)                                            |
//! | `follower` | reads the topic to its end, and then whatever comes                    |
//! | `member`   | a process that does as it is told, and reports how it is               |
//! | `operator` | pauses and resumes, and waits for the pods to say that they have heard |
//! | `order`    | what an operator orders, by its names                                  |
//! | `acting`   | an order done, from the audit topic to the answers of the pods         |
//! | `lag`      | how far a group is, by the brokers' word                               |
//! | `status`   | all of that together, as it is shown                                   |
//! | `seat`     | where the API of a process finds what its fleet is told                |

mod acting;
mod follower;
mod lag;
mod member;
mod operator;
mod order;
mod said;
mod scope;
mod seat;
mod status;
mod view;

pub(crate) use acting::{Acted, NotDone, Paused};
pub(crate) use follower::{Followed, Follower, Source};
pub(crate) use lag::{GroupLag, PartitionLag, lag_of};
pub(crate) use member::{AtWork, Member, Stage};
pub(crate) use operator::{Fleet, PodHeeded};
pub(crate) use order::{Order, Wish};
#[cfg(feature = "fuzzing")]
pub(crate) use said::fuzz;
pub(crate) use seat::Seat;
pub(crate) use status::{PodStatus, Status};
