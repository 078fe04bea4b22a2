//! One server and its connections.

use std::collections::{BTreeMap, HashMap};

use ::redis::Pipeline;
use futures_util::future::join_all;

use super::claims::{self, To, Tokens};
use super::cluster::{Elsewhere, Outcome, Visit};
use super::completions;
use super::connection::{Connection, TIMEOUTS_IN_A_ROW, Trouble};
use super::duplicates::{self, Duplicate};
use super::fault::{fault_of, lacks_functions};
use super::kept::{self, Wait};
use super::lines::Lines;
use super::place::Place;
use super::rights::Rights;
use super::together::{Batch, Whole};
use super::wire::{Call, KEYS_PER_CALL, call, calls};
use crate::store::{Claim, ClaimRequest, Completed, Completion, StoreFault};

#[derive(Debug)]
pub(super) struct Node {
    /// What is asked for each event.
    lines: Lines,
    /// Everything else.
    pub(super) calls: Connection,
    /// Renewals have a connection of their own: they must not queue behind large batches of claims, and it must live
    /// where they are called from, on a runtime that no handler can starve. They are a third of a lease apart, so one
    /// that gets no answer has to be the last on its connection.
    renewals: Connection,
}

/// Which of its connections is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    Calls,
    Renewals,
}

impl Node {
    /// Prepares connections and makes none.
    pub(super) fn new(place: Place, rights: Rights) -> Self {
        Self {
            lines: Lines::new(place.clone()),
            calls: Connection::new(place.clone(), Some(rights), TIMEOUTS_IN_A_ROW),
            renewals: Connection::new(place, None, 1),
        }
    }

    fn connection(&self, lane: Lane) -> &Connection {
        match lane {
            Lane::Calls => &self.calls,
            Lane::Renewals => &self.renewals,
        }
    }

    /// Claims by plain commands.
    pub(super) async fn claims(
        &self,
        requests: &[ClaimRequest],
        tokens: &Tokens,
        mut to: To,
    ) -> Result<claims::Native, StoreFault> {
        // What is granted has to be renewed, which only the functions can do.
        self.calls.ready().await?;
        loop {
            let native = self
                .lines
                .ask(
                    |line| claims::write(line, requests, tokens, to),
                    |line, sent| claims::answers(line, requests, sent),
                )
                .await?;
            let native = native.map_err(|refusal| fault_of(&self.calls.address(), &refusal.0))?;
            if native.misplaced.is_empty() {
                return Ok(native);
            }
            to = to.apart();
            // Nothing must look as if it stood in the batch of somebody else.
            self.call(Lane::Calls, &native.misplaced).await?;
        }
    }

    /// Which of what may be duplicates are.
    pub(super) async fn tell(
        &self,
        requests: &[ClaimRequest],
        duplicates: &[Duplicate],
        empty: Option<Batch>,
    ) -> Result<Vec<(usize, Claim)>, StoreFault> {
        self.lines
            .ask(
                |line| duplicates::write(line, requests, duplicates, empty),
                |line, batches| duplicates::answers(line, duplicates, &batches),
            )
            .await
    }

    /// Ends a batch as a whole; whether that could be.
    pub(super) async fn end(&self, whole: &Whole) -> Result<bool, StoreFault> {
        let ended = self.lines.ask(
            |line| whole.write(&mut line.commands),
            |line, ()| {
                let without_functions = line.replies.errors().any(lacks_functions);
                (Whole::has_ended(line.replies.all().next()), without_functions)
            },
        );
        let (has_ended, without_functions) = ended.await?;
        if without_functions {
            self.calls.load_functions().await?;
        }
        Ok(has_ended)
    }

    /// Completions by plain commands.
    pub(super) async fn completions(
        &self,
        completions: &[Completion],
        batches: &HashMap<u64, Batch>,
        asking: bool,
    ) -> Result<completions::Native, StoreFault> {
        self.lines
            .ask(
                |line| completions::write(line, completions, asking),
                |line, ()| completions::answers(line, completions, asking, batches),
            )
            .await
    }

    /// Completions that count when so many replicas have them: calls of functions, and the wait behind them over the
    /// same connection.
    pub(super) async fn keep(
        &self,
        completions: &[Completion],
        wait: Wait,
        visit: Visit,
    ) -> Result<Vec<Outcome<Completed>>, StoreFault> {
        self.calls.ready().await?;
        let mut repeated = false;
        loop {
            let kept = self
                .lines
                .ask(
                    |line| kept::write(line, completions, wait, visit),
                    |line, sent| kept::answers(line, completions, &sent, wait),
                )
                .await?;
            match kept {
                Ok(outcomes) => return Ok(outcomes),
                Err(kept::Refusal::NoFunctions) if !std::mem::replace(&mut repeated, true) => {
                    self.calls.load_functions().await?;
                }
                Err(refusal) => return Err(refusal.fault(&self.calls.address(), wait)),
            }
        }
    }

    /// Asks the functions, in one round trip.
    pub(super) async fn call<R: Call>(
        &self,
        lane: Lane,
        requests: &[R],
    ) -> Result<Vec<R::Answer>, StoreFault> {
        let replies: Vec<Vec<String>> = self.connection(lane).query(&calls(requests)).await?;
        let replies: Vec<String> = replies.into_iter().flatten().collect();
        self.read::<R>(&replies, requests.len())
    }

    /// The same where the keys lie in slots of a cluster: a call for each slot, and some may have to go elsewhere.
    pub(super) async fn call_slots<R: Call>(
        &self,
        lane: Lane,
        requests: Vec<&R>,
        visit: Visit,
    ) -> Result<Vec<Outcome<R::Answer>>, StoreFault> {
        let mut slots: BTreeMap<u8, Vec<usize>> = BTreeMap::new();
        for (number, request) in requests.iter().enumerate() {
            slots.entry(request.key().bucket()).or_default().push(number);
        }
        let most = if visit.alone { 1 } else { KEYS_PER_CALL };
        let chunks: Vec<&[usize]> = slots.values().flat_map(|numbers| numbers.chunks(most)).collect();
        let asked = chunks.iter().map(|numbers| {
            let some: Vec<&R> = numbers.iter().map(|number| requests[*number]).collect();
            self.call_slot(lane, some, visit.asking)
        });
        let mut outcomes: Vec<Option<Outcome<R::Answer>>> = requests.iter().map(|_| None).collect();
        for (numbers, answers) in chunks.iter().zip(join_all(asked).await) {
            for (number, outcome) in numbers.iter().zip(answers?) {
                outcomes[*number] = Some(outcome);
            }
        }
        Ok(outcomes.into_iter().flatten().collect())
    }

    async fn call_slot<R: Call>(
        &self,
        lane: Lane,
        requests: Vec<&R>,
        asking: bool,
    ) -> Result<Vec<Outcome<R::Answer>>, StoreFault> {
        let mut commands = Pipeline::with_capacity(2);
        if asking {
            commands.cmd("ASKING").ignore();
        }
        commands.add_command(call(requests.iter().copied()));
        match self.connection(lane).ask::<(Vec<String>,)>(&commands).await {
            Ok((replies,)) => {
                let answers = self.read::<R>(&replies, requests.len())?;
                Ok(answers.into_iter().map(Outcome::Answer).collect())
            }
            Err(Trouble::Elsewhere(redirect, _)) => {
                Ok(requests.iter().map(|_| Outcome::Elsewhere(redirect.clone())).collect())
            }
            Err(Trouble::Fault(fault)) => Err(fault),
        }
    }

    fn read<R: Call>(&self, replies: &[String], wanted: usize) -> Result<Vec<R::Answer>, StoreFault> {
        let answers: Option<Vec<_>> = replies.iter().map(|reply| R::answer(reply)).collect();
        answers.filter(|answers| answers.len() == wanted).ok_or_else(|| {
            StoreFault::refused(format!(
                "Redis at {} gave no answer of {}: other functions carry its name",
                self.calls.address(),
                R::FUNCTION
            ))
        })
    }

    /// The fault where there is no cluster and yet another node was named.
    pub(super) fn stays(&self, elsewhere: &[Elsewhere]) -> Result<(), StoreFault> {
        match elsewhere.first() {
            None => Ok(()),
            Some(first) => Err(fault_of(&self.calls.address(), &first.said)),
        }
    }
}
