//! What `dead-letters` is told.

use std::path::PathBuf;

use clap::{ArgGroup, Subcommand};

use crate::letters::{Foreign, Format, Place, State, Wanted};

#[derive(Debug, Subcommand)]
pub(in crate::app) enum DeadLetters {
    /// Lists letters, the oldest of each partition first
    List {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        only: Only,
        /// So many, at most
        #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
        max: u64,
    },
    /// Shows one letter with all its headers, and its value on demand
    Show {
        #[command(flatten)]
        which: Which,
        /// Its partition and offset, as `list` has them
        #[arg(long, value_name = "P:OFFSET")]
        one: Place,
        /// Shows key and value, too
        #[arg(long)]
        payload: bool,
    },
    /// Counts letters by handler, disposition and error, so that one cause is one line
    Groups {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        only: Only,
    },
    /// Sends letters to the handlers that failed, and to nobody else
    Redrive(Redrive),
    /// Marks letters as dealt with; they stay where they are
    Discard(Discard),
    /// Counts letters by what has become of them, and copies that wait for workers
    Status {
        #[command(flatten)]
        which: Which,
    },
}

/// The letters of which topic.
#[derive(Debug, clap::Args)]
pub(in crate::app) struct Which {
    /// The service whose letters they are; the only one of a binary needs no name
    #[arg(long, value_name = "NAME")]
    pub(super) service: Option<String>,
    /// Reads letters from this topic, whoever has written them
    #[arg(long, value_name = "TOPIC")]
    from_topic: Option<String>,
    /// Whose headers letters of --from-topic have, where that is not to be found out
    #[arg(long, value_enum, requires = "from_topic")]
    format: Option<Format>,
    /// Prints one line of JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, clap::Args)]
pub(in crate::app) struct Only {
    /// A condition, repeatable, all have to hold: disposition=, handler=, group=, error=, error~, key=, partition=, since=, until=
    #[arg(long, value_name = "CONDITION")]
    pub(super) filter: Vec<String>,
    /// Letters that stand so
    #[arg(long, value_enum, default_value_t = State::Open)]
    pub(super) state: State,
    /// Letters that stand in any way
    #[arg(long, conflicts_with = "state")]
    pub(super) any_state: bool,
}

/// Which letters an act is about. One of these has to be said.
#[derive(Debug, clap::Args)]
#[command(group = ArgGroup::new("chosen").required(true).multiple(true).args(["filter", "one", "all"]))]
pub(in crate::app) struct Chosen {
    /// A condition, repeatable, all have to hold: disposition=, handler=, group=, error=, error~, key=, partition=, since=, until=
    #[arg(long, value_name = "CONDITION")]
    pub(super) filter: Vec<String>,
    /// This letter; repeatable
    #[arg(long, value_name = "P:OFFSET")]
    pub(super) one: Vec<Place>,
    /// Every letter that nobody has dealt with
    #[arg(long, conflicts_with_all = ["filter", "one"])]
    all: bool,
    /// So many, at most
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) max: Option<u64>,
    /// Says what would become of them, and does nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Does not ask
    #[arg(long)]
    pub(super) yes: bool,
}

#[derive(Debug, clap::Args)]
pub(in crate::app) struct Redrive {
    #[command(flatten)]
    pub(super) which: Which,
    #[command(flatten)]
    pub(super) chosen: Chosen,
    /// Letters a second, at most
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) rate: Option<u32>,
    /// What was redriven so often is parked instead [default: dead_letter.max_redrives]
    #[arg(long, value_name = "N")]
    pub(super) cap: Option<u32>,
    /// Sends what is in this file instead of the letter's value; for one letter
    #[arg(long, value_name = "FILE", conflicts_with = "all")]
    pub(super) with_value: Option<PathBuf>,
    /// The handler that letters of --from-topic are for; without one their type chooses
    #[arg(long, value_name = "NAME", requires = "from_topic")]
    handler: Option<String>,
    /// The topic of the service that letters of --from-topic are sent to, whatever topic they name
    #[arg(long, value_name = "LOGICAL", requires = "from_topic")]
    to: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(in crate::app) struct Discard {
    #[command(flatten)]
    pub(super) which: Which,
    #[command(flatten)]
    pub(super) chosen: Chosen,
}

impl DeadLetters {
    pub(super) fn which(&self) -> &Which {
        match self {
            Self::List { which, .. }
            | Self::Show { which, .. }
            | Self::Groups { which, .. }
            | Self::Status { which } => which,
            Self::Redrive(redrive) => &redrive.which,
            Self::Discard(discard) => &discard.which,
        }
    }

    /// The letters that are wanted, of these topics.
    pub(super) fn wanted(&self, topics: &[String]) -> Wanted {
        let Which { from_topic, format, .. } = self.which();
        let (handler, to) = match self {
            Self::Redrive(redrive) => (redrive.handler.clone(), redrive.to.clone()),
            _ => (None, None),
        };
        let format = *format;
        let foreign = from_topic.clone().map(|topic| Foreign { topic, format, handler, to });
        Wanted { topics: topics.to_vec(), foreign }
    }
}
