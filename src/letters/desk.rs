//! Deals with letters: some at a time in one transaction, the copies together with the marks that say so.
//!
//! Killed in between, nothing or all of a transaction is there, and the next run goes on behind it. Two who work at the
//! same letters take turns: whoever comes later takes the transaction's name away from the other, who takes it back, reads
//! what was marked meanwhile, and leaves that out.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
    thread,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use serde::Serialize;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::{
    Drawer, Edit, Filter, Letter, LettersError, Mark, Place, State,
    copy::{Sent, Unfit},
    reading::{Ledger, read_all},
};
use crate::{
    Record,
    config::TopicsSettings,
    crash::crash_point,
    kafka::{Ensured, KafkaClient, KafkaFault, TopicAdmin, TopicPlan, TransactionError, Transactions},
    pipeline::NewRecord,
    replay::Allowance,
};

/// Letters of one transaction, at most.
const TOGETHER: usize = 500;
/// And their bytes.
const TOGETHER_BYTES: usize = 4 << 20;
/// How often in a row the transaction may be taken away before nothing was written in between.
const TURNS: u32 = 20;
/// How long the broker may take for each answer about a topic.
const PATIENCE: Duration = Duration::from_secs(10);
const A_MOMENT: Duration = Duration::from_millis(20);

/// What is done with letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    Redrive,
    Discard,
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

    fn refuse(&mut self, why: &Unfit, place: Place) {
        self.refused.entry(why.to_string()).or_insert((0, place)).0 += 1;
    }
}

/// Who acts, and under which name it stands in the audit topic.
#[derive(Debug, Clone)]
pub(crate) struct By {
    pub(crate) who: String,
    pub(crate) act: String,
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

/// A letter that is dealt with in this transaction.
struct Entry {
    place: Place,
    state: State,
    records: Vec<NewRecord>,
}

/// One act on one drawer.
struct Work<'a> {
    desk: &'a Desk,
    drawer: &'a Drawer,
    transactions: Transactions,
    ledger: Ledger,
    batch: Vec<Entry>,
    done: Done,
    tell: &'a mut dyn FnMut(&Done),
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
        let ledger = drawer.ledger(&self.client, &self.cancel)?;
        let (batch, done) = Default::default();
        Ok(Some(Work { desk: self, drawer, transactions, ledger, batch, done, tell }))
    }

    /// What is to be written for a letter; nothing but its mark where it is discarded.
    fn sent(
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
    fn ensure(&self, plan: &TopicPlan) -> Result<(), LettersError> {
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

    fn describe(&self, topic: &str) -> Result<Option<crate::kafka::TopicInfo>, KafkaFault> {
        self.runtime.block_on(async { TopicAdmin::new(&self.client, PATIENCE)?.describe(topic).await })
    }
}

/// Whether a letter may be dealt with. Who names a discarded one means it.
fn is_open(mark: Option<&Mark>, act: Act, wish: &Wish, place: Place) -> bool {
    match mark.map(|mark| mark.state) {
        None => true,
        Some(State::Discarded) => act == Act::Redrive && wish.places.contains(&place),
        Some(_) => false,
    }
}

impl Work<'_> {
    fn through(&mut self, act: Act, wish: &Wish, by: &By) -> Result<(), LettersError> {
        let (desk, drawer) = (self.desk, self.drawer);
        let Some((reader, stretches)) = drawer.stretches(&desk.client, &wish.places)? else { return Ok(()) };
        let mut allowance = wish.rate.map(|rate| Allowance::new(rate, Instant::now()));
        let mut ensured: BTreeSet<String> = BTreeSet::new();
        let (mut meant, mut bytes) = (0, 0);
        let read = read_all(reader, &stretches, &desk.cancel, |record| {
            let letter = Letter::read(&record, drawer.format);
            let place = letter.place;
            let is_named = wish.places.is_empty() || wish.places.contains(&place);
            if !is_named || !wish.filter.takes(&letter) {
                return Ok(ControlFlow::Continue(()));
            }
            if !is_open(self.ledger.marks.get(place), act, wish, place) {
                self.done.before += 1;
                return Ok(ControlFlow::Continue(()));
            }
            let sent = match desk.sent(drawer, act, wish, &letter, &record)? {
                Ok(sent) => sent,
                Err(why) => {
                    self.done.refuse(&why, place);
                    return Ok(ControlFlow::Continue(()));
                }
            };
            while allowance.as_mut().is_some_and(|allowance| allowance.left(Instant::now()) == 0) {
                self.write(act, wish)?;
                if desk.cancel.is_cancelled() {
                    return Err(LettersError::Interrupted);
                }
                thread::sleep(A_MOMENT);
            }
            if let Some(allowance) = &mut allowance {
                allowance.take(1);
            }
            let entry = self.entry(place, sent, wish, by);
            if let [copy, _mark] = &entry.records[..] {
                if !ensured.contains(&copy.topic) {
                    self.ensure(&letter, &copy.topic)?;
                    ensured.insert(copy.topic.clone());
                }
                bytes += copy.value.as_ref().map_or(0, bytes::Bytes::len);
            }
            self.batch.push(entry);
            meant += 1;
            if TOGETHER <= self.batch.len() || TOGETHER_BYTES <= bytes {
                self.write(act, wish)?;
                bytes = 0;
            }
            Ok(if wish.max.is_some_and(|max| max <= meant) {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            })
        });
        match read {
            Ok(()) | Err(LettersError::Interrupted) => self.write(act, wish).and(read),
            Err(error) => Err(error),
        }
    }

    fn entry(&self, place: Place, sent: Option<Sent>, wish: &Wish, by: &By) -> Entry {
        let (state, copy) = match sent {
            Some(Sent::Copy(record)) => (State::Redriven, Some(record)),
            Some(Sent::Parked(record)) => (State::Parked, Some(record)),
            None => (State::Discarded, None),
        };
        let edited = wish.edit.as_ref().filter(|_| state == State::Redriven);
        let mark = Mark {
            state,
            at: Timestamp::now(),
            who: by.who.clone(),
            act: by.act.clone(),
            topic_id: self.ledger.marks.topic_id().map(str::to_owned),
            edited: edited.map(|edit| Edit::digest(&edit.0)),
        };
        let records = copy.into_iter().chain([mark.record(&self.drawer.marks, place)]).collect();
        Entry { place, state, records }
    }

    /// As many partitions as the source has, so that a copy keeps its own.
    fn ensure(&self, letter: &Letter, topic: &str) -> Result<(), LettersError> {
        let source = self.drawer.target(letter).map(|(source, _)| source);
        let source = source.map_err(|why| LettersError::Order(why.to_string()))?;
        let shape = match self.desk.describe(source)? {
            Some(source) => Some(source),
            None => self.desk.describe(&self.drawer.letters)?,
        };
        let Some(shape) = shape else {
            return Err(LettersError::Order(format!("topic {source} does not exist, nor do its letters")));
        };
        let copies = self.desk.topics.replication_factor;
        self.desk.ensure(&TopicPlan::copy_of(&shape, topic.to_owned(), copies))
    }

    /// Writes what there is; what another has dealt with meanwhile is left out.
    fn write(&mut self, act: Act, wish: &Wish) -> Result<(), LettersError> {
        for turn in 1.. {
            if self.batch.is_empty() {
                break;
            }
            let records: Vec<NewRecord> = self.batch.iter().flat_map(|entry| entry.records.clone()).collect();
            crash_point("before_redrive");
            match self.transactions.write(&records) {
                Ok(()) => {
                    crash_point("after_redrive");
                    for Entry { state, .. } in self.batch.drain(..) {
                        *match state {
                            State::Redriven => &mut self.done.redriven,
                            State::Parked => &mut self.done.parked,
                            _ => &mut self.done.discarded,
                        } += 1;
                    }
                    (self.tell)(&self.done);
                }
                Err(TransactionError::OpenAgain(fault)) if turn < TURNS => {
                    tracing::debug!(%fault, turn, "the transaction is opened again");
                    self.take_turn(act, wish)?;
                }
                Err(TransactionError::OpenAgain(fault) | TransactionError::Refused(fault)) => {
                    return Err(fault.into());
                }
            }
        }
        Ok(())
    }

    /// Lets the other go on for a while, then takes the name back and finds out what was written.
    fn take_turn(&mut self, act: Act, wish: &Wish) -> Result<(), LettersError> {
        thread::sleep(Duration::from_millis(rand::random_range(50..1_000)));
        let (desk, drawer) = (self.desk, self.drawer);
        self.transactions = Transactions::open(&desk.client, &drawer.marks)?;
        // Whoever cancels waits for what is on its way.
        drawer.read_on(&desk.client, &mut self.ledger, &CancellationToken::new())?;
        let (marks, before) = (&self.ledger.marks, self.batch.len());
        self.batch.retain(|entry| is_open(marks.get(entry.place), act, wish, entry.place));
        self.done.before += (before - self.batch.len()) as u64;
        Ok(())
    }
}
