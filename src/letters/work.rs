//! One act on the letters of one topic, transaction by transaction.

use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    thread,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::{
    Act, By, Desk, Done, Drawer, Edit, Letter, LettersError, Mark, Place, State, Wish, copy::Sent,
    desk::is_open, mark::Marks, reading::read_all,
};
use crate::{
    crash::crash_point,
    kafka::{TopicPlan, TransactionError, Transactions},
    pipeline::NewRecord,
    replay::Allowance,
    telemetry::spans::Sending,
};

/// Letters of one transaction, at most.
const TOGETHER: usize = 500;
/// And their bytes.
const TOGETHER_BYTES: usize = 4 << 20;
/// How often in a row the transaction may be taken away before nothing was written in between.
const TURNS: u32 = 20;
const A_MOMENT: Duration = Duration::from_millis(20);

/// A letter that is dealt with in this transaction.
pub(super) struct Entry {
    place: Place,
    state: State,
    records: Vec<NewRecord>,
    sending: Option<Sending>,
}

/// One act on one drawer.
pub(super) struct Work<'a> {
    pub(super) desk: &'a Desk,
    pub(super) drawer: &'a Drawer,
    pub(super) transactions: Transactions,
    /// Whole while nobody takes the name away.
    pub(super) marks: Marks,
    pub(super) batch: Vec<Entry>,
    pub(super) done: Done,
    pub(super) tell: &'a mut dyn FnMut(&Done),
}

impl Work<'_> {
    pub(super) fn through(&mut self, act: Act, wish: &Wish, by: &By) -> Result<(), LettersError> {
        let (desk, drawer) = (self.desk, self.drawer);
        let Some((reader, stretches)) = drawer.stretches(&desk.client, &wish.places)? else { return Ok(()) };
        let mut allowance = wish.rate.map(|rate| Allowance::new(rate, Instant::now()));
        let mut partitions: BTreeMap<String, i32> = BTreeMap::new();
        let (mut meant, mut bytes) = (0, 0);
        let read = read_all(reader, &stretches, &desk.cancel, |record| {
            let letter = Letter::read(&record, drawer.format);
            let place = letter.place;
            let is_named = wish.places.is_empty() || wish.places.contains(&place);
            if !is_named || !wish.filter.takes(&letter) {
                return Ok(ControlFlow::Continue(()));
            }
            if !is_open(self.marks.get(place), act, wish, place) {
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
            // Meanwhile another may have had a turn.
            if !is_open(self.marks.get(place), act, wish, place) {
                self.done.before += 1;
                return Ok(ControlFlow::Continue(()));
            }
            if let Some(allowance) = &mut allowance {
                allowance.take(1);
            }
            let mut entry = self.entry(place, sent, wish, by);
            if let [copy, _mark] = &mut entry.records[..] {
                if !partitions.contains_key(&copy.topic) {
                    partitions.insert(copy.topic.clone(), self.ensure(&letter, &copy.topic)?);
                }
                // Where there is no such partition, the key decides.
                copy.partition = copy.partition.filter(|partition| *partition < partitions[&copy.topic]);
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
        let mut sending = None;
        let (state, copy) = match sent {
            Some(Sent::Copy(mut record)) => {
                sending = by.deed.as_ref().and_then(|deed| Sending::again(deed, &mut record));
                (State::Redriven, Some(record))
            }
            Some(Sent::Parked(record)) => (State::Parked, Some(record)),
            None => (State::Discarded, None),
        };
        let edited = wish.edit.as_ref().filter(|_| state == State::Redriven);
        let mark = Mark {
            state,
            at: Timestamp::now(),
            who: by.who.clone(),
            act: by.act.clone(),
            topic_id: self.marks.topic_id().map(str::to_owned),
            edited: edited.map(|edit| Edit::digest(&edit.0)),
        };
        let records = copy.into_iter().chain([mark.record(&self.drawer.marks, place)]).collect();
        Entry { place, state, records, sending }
    }

    /// As many partitions as the source has, so that a copy keeps its own. Answers how many there are.
    fn ensure(&self, letter: &Letter, topic: &str) -> Result<i32, LettersError> {
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
        self.desk.ensure(&TopicPlan::copy_of(&shape, topic.to_owned(), copies))?;
        Ok(self.desk.describe(topic)?.map_or(shape.partitions, |made| made.partitions))
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
                    for Entry { state, sending, .. } in self.batch.drain(..) {
                        sending.into_iter().for_each(Sending::acknowledged);
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
        // All of it anew: what was read while another had the name may have had gaps. Whoever cancels waits for this.
        self.marks = drawer.marked(&desk.client, &CancellationToken::new())?;
        let (marks, before) = (&self.marks, self.batch.len());
        self.batch.retain(|entry| is_open(marks.get(entry.place), act, wish, entry.place));
        self.done.before += (before - self.batch.len()) as u64;
        Ok(())
    }
}
