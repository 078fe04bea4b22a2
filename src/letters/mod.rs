//! Dead letters as a person deals with them: read, told apart, sent again or put aside.
//!
//! | file         | has                                                                          |
//! |--------------|------------------------------------------------------------------------------|
//! | `letter`     | what one record of a dead-letter topic says                                  |
//! | `format`     | whose headers those are: ours, or those of other frameworks                  |
//! | `filter`     | which letters are meant                                                      |
//! | `groups`     | many letters as a few lines; `sentence` makes errors alike                   |
//! | `mark`       | what has become of a letter, in a compacted topic beside the letters         |
//! | `drawer`     | the letters of one topic: its names, and where its letters may go            |
//! | `reading`    | reads them                                                                   |
//! | `copy`       | from a letter to the record that is sent                                     |
//! | `desk`       | where letters are redriven and discarded; `work` is one act, a transaction for some at a time |
//! | `carried`    | an act from its record in the audit topic to its end                         |
//! | `found`      | letters with what has become of them, for people and programs                |
//!
//! Nothing is ever taken out of a dead-letter topic.

mod carried;
mod copy;
mod desk;
mod drawer;
mod filter;
pub(crate) mod format;
mod found;
mod groups;
mod letter;
mod mark;
mod reading;
mod sentence;
mod work;

pub(crate) use carried::{Report, carry_out, rehearse};
pub(crate) use copy::Edit;
pub(crate) use desk::{Act, By, Desk, Done, Wish};
pub(crate) use drawer::{Drawer, Foreign, Wanted, drawers};
pub(crate) use filter::Filter;
pub(crate) use format::Format;
pub(crate) use found::{Found, Search, Standing, standing};
pub(crate) use groups::{Group, Groups};
pub(crate) use letter::{Letter, Place};
pub(crate) use mark::{Mark, State};
pub(crate) use reading::{Counts, LettersError, Waiting};

#[cfg(feature = "fuzzing")]
pub(crate) use format::fuzz;
#[cfg(feature = "fuzzing")]
pub(crate) use mark::fuzz as fuzz_mark;
