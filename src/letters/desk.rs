//! Deals with letters: some at a time in one transaction, the copies together with the marks that say so.
//!
//! Killed in between, nothing or all of a transaction is there, and the next run goes on behind it. Two who work at the
//! same letters take turns: whoever comes later takes the transaction's name away from the other, who takes it back, reads
//! what was marked meanwhile, and leaves that out.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
    sync::Arc,
    time::Duration,
};

use serde::Serialize;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::{
    Drawer, Edit, Filter, Letter, LettersError, Mark, Place, State,
    copy::{Sent, Unfit},
    work::Work,
};
use crate::{
    Record,
    config::TopicsSettings,
    kafka::{Ensured, KafkaClient, KafkaFault, TopicAdmin, TopicInfo, TopicPlan, Transactions},
    telemetry::spans::Deed,
};

/// How long the broker may take for each answer about a topic.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is done with letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    Redrive,
    Discard,
}

impl Act {
    /// The words of the command line.
    pub(super) fn verb(self) -> &'static str {
        match self {
            Self::Redrive => "dead-letters redrive",
            Self::Discard => "dead-letters discard",
        }
    }
}

/// Which letters are meant, and how they are dealt with.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wish {
    pub(crate) filter: Filter,
    /// Only these, where some are named.
    pub(crate) places: BTreeSet<Place>,
    /// So many in all, at most.
    pub(crate) max: Option<u64>,
    /// A second, at most.
    pub(crate) rate: Option<u32>,
    /// Those that were redriven so often are parked.
    pub(crate) cap: u32,
    pub(crate) edit: Option<Edit>,
}

/// What was done so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Done {
    pub(crate) redriven: u64,
    pub(crate) parked: u64,
    pub(crate) discarded: u64,
    /// Somebody had dealt with them before.
    pub(crate) before: u64,
    /// Cannot be sent: for each reason how many, and one of them.
    pub(crate) refused: BTreeMap<String, (u64, Place)>,
}

impl Done {
    /// How many letters were dealt with.
    pub(crate) fn all(&self) -> u64 {
        self.redriven + self.parked + self.discarded
    }

    pub(super) fn refuse(&mut self, why: &Unfit, place: Place) {
        self.refused.entry(why.to_string()).or_insert((0, place)).0 += 1;
    }
}

/// Who acts, and under which name it stands in the audit topic.
#[derive(Debug, Clone)]
pub(crate) struct By {
    pub(crate) who: String,
    pub(crate) act: String,
    /// What the spans of its copies belong to, where somebody records them.
    pub(crate) deed: Option<Arc<Deed>>,
}

/// Where letters are dealt with.
#[derive(Debug, Clone)]
pub(crate) struct Desk {
    pub(crate) client: KafkaClient,
    pub(crate) topics: TopicsSettings,
    /// Where questions about topics are asked.
    pub(crate) runtime: Handle,
    pub(crate) cancel: CancellationToken,
}

impl Desk {
    /// What would become of the letters that are meant. Nothing is written. Blocks.
    pub(crate) fn rehearse(&self, drawer: &Drawer, act: Act, wish: &Wish) -> Result<Done, LettersError> {
        let mut done = Done::default();
        let mut failed = None;
        drawer.look(&self.client, &wish.places, &self.cancel, |record, letter, mark| {
            if !wish.filter.takes(&letter) {
                return ControlFlow::Continue(());
            }
            if !is_open(mark, act, wish, letter.place) {
                done.before += 1;
                return ControlFlow::Continue(());
            }
            match self.sent(drawer, act, wish, &letter, &record) {
                Ok(Ok(None)) => done.discarded += 1,
                Ok(Ok(Some(Sent::Copy(_)))) => done.redriven += 1,
                Ok(Ok(Some(Sent::Parked(_)))) => done.parked += 1,
                Ok(Err(why)) => done.refuse(&why, letter.place),
                Err(error) => {
                    failed = Some(error);
                    return ControlFlow::Break(());
                }
            }
            if wish.max.is_some_and(|max| max <= done.all()) {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })?;
        failed.map_or(Ok(done), Err)
    }

    /// Deals with the letters that are meant, and tells now and then what was done. What was done stays done whatever
    /// happens then. Blocks.
    pub(crate) fn act(
        &self,
        drawer: &Drawer,
        act: Act,
        wish: &Wish,
        by: &By,
        tell: &mut dyn FnMut(&Done),
    ) -> (Done, Result<(), LettersError>) {
        match self.work(drawer, tell) {
            Ok(Some(mut work)) => {
                let went = work.through(act, wish, by);
                (work.done, went)
            }
            // There are no letters.
            Ok(None) => (Done::default(), Ok(())),
            Err(error) => (Done::default(), Err(error)),
        }
    }

    fn work<'a>(
        &'a self,
        drawer: &'a Drawer,
        tell: &'a mut dyn FnMut(&Done),
    ) -> Result<Option<Work<'a>>, LettersError> {
        if self.describe(&drawer.letters)?.is_none() {
            return Ok(None);
        }
        self.ensure(&TopicPlan::marks(&drawer.marks, self.topics.replication_factor))?;
        // In this order: what another has begun is over, and its marks are there.
        let transactions = Transactions::open(&self.client, &drawer.marks)?;
        let marks = drawer.marked(&self.client, &self.cancel)?;
        let (batch, done) = Default::default();
        Ok(Some(Work { desk: self, drawer, transactions, marks, batch, done, tell }))
    }

    /// What is to be written for a letter; nothing but its mark where it is discarded.
    pub(super) fn sent(
        &self,
        drawer: &Drawer,
        act: Act,
        wish: &Wish,
        letter: &Letter,
        record: &Record,
    ) -> Result<Result<Option<Sent>, Unfit>, LettersError> {
        if act == Act::Discard {
            return Ok(Ok(None));
        }
        let (cap, edit) = (wish.cap, wish.edit.as_ref());
        if !letter.lacks_value() || edit.is_some() || cap <= letter.told.redrives {
            return Ok(drawer.send(letter, record, edit, cap).map(Some));
        }
        let topic = match drawer.target(letter) {
            Ok((topic, _)) => topic,
            Err(why) => return Ok(Err(why)),
        };
        Ok(match drawer.original(&self.client, letter, topic, &self.cancel)? {
            Some(original) => drawer.send(letter, &original, None, cap).map(Some),
            None => Err(Unfit::NoValue),
        })
    }

    /// A topic of ours is made where it is missing and the configuration lets us.
    pub(super) fn ensure(&self, plan: &TopicPlan) -> Result<(), LettersError> {
        let ensured = self.runtime.block_on(async {
            TopicAdmin::new(&self.client, PATIENCE)?.ensure(plan, self.topics.create).await
        })?;
        match ensured {
            Ensured::Missing => Err(LettersError::Order(format!(
                "topic {} does not exist, and topics.create = false; whoever may can make it: {}",
                plan.name,
                plan.command()
            ))),
            Ensured::Created | Ensured::Found(_) => Ok(()),
        }
    }

    pub(super) fn describe(&self, topic: &str) -> Result<Option<TopicInfo>, KafkaFault> {
        self.runtime.block_on(async { TopicAdmin::new(&self.client, PATIENCE)?.describe(topic).await })
    }
}

/// Whether a letter may be dealt with. Who names a discarded one means it.
pub(super) fn is_open(mark: Option<&Mark>, act: Act, wish: &Wish, place: Place) -> bool {
    match mark.map(|mark| mark.state) {
        None => true,
        Some(State::Discarded) => act == Act::Redrive && wish.places.contains(&place),
        Some(_) => false,
    }
}
