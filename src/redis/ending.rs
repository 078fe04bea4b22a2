//! How ends of their own are recorded: plain commands first, and functions for what these could not say.

use std::collections::HashSet;

use super::compact::Contest;
use super::fault::fault_of;
use super::store::RedisStore;
use super::wire::Call;
use crate::store::{Completed, Completion, End, StoreFault, StoreKey};

impl RedisStore {
    /// Asks the function for the answers that are missing.
    pub(super) async fn decide<R: Call + Clone>(
        &self,
        requests: &[R],
        answers: Vec<Option<R::Answer>>,
    ) -> Result<Vec<R::Answer>, StoreFault> {
        let missing: Vec<R> = requests
            .iter()
            .zip(&answers)
            .filter(|(_, answer)| answer.is_none())
            .map(|(request, _)| request.clone())
            .collect();
        let mut decided = self.call(&missing).await?.into_iter();
        Ok(answers.into_iter().filter_map(|answer| answer.or_else(|| decided.next())).collect())
    }

    /// Ends of their own, each under its key.
    pub(super) async fn complete_long(
        &self,
        completions: &[Completion],
    ) -> Result<Vec<Completed>, StoreFault> {
        if let Some(whole) = self.batches.whole(completions) {
            if self.servers.end(&whole).await? {
                self.batches.over(completions.iter().map(|completion| &completion.held));
                return Ok(vec![Completed::Recorded; completions.len()]);
            }
            self.batches.refused(whole.token());
        }
        let answers = self.complete_each(completions).await?;
        let recorded = completions.iter().zip(&answers).filter(|(_, answer)| **answer == Completed::Recorded);
        self.batches.over(recorded.map(|(completion, _)| &completion.held));
        Ok(answers)
    }

    async fn complete_each(&self, completions: &[Completion]) -> Result<Vec<Completed>, StoreFault> {
        let keys = || completions.iter().map(|completion| &completion.held.key);
        let is_plain = |completion: &Completion| completion.held.hop == 0 && completion.end == End::Done;
        let answers = if self.suspects.any_of(keys()) || !completions.iter().all(is_plain) {
            self.call(completions).await?
        } else {
            let batches = self.batches.of(completions.iter().map(|completion| completion.held.token));
            let native = self.servers.completions(completions, &batches).await?;
            self.call(&native.amends).await?;
            if let Some(refusal) = native.refusal {
                return Err(fault_of(&self.address(), &refusal.0));
            }
            let answers = self.decide(completions, native.answers).await?;
            self.contest(completions, answers).await?
        };
        let foreign = answers.iter().map(|answer| *answer == Completed::Foreign);
        self.suspects.learn(keys().zip(foreign));
        Ok(answers)
    }

    /// A key that is lost may have ended in short, and then it is not lost.
    async fn contest(
        &self,
        completions: &[Completion],
        mut answers: Vec<Completed>,
    ) -> Result<Vec<Completed>, StoreFault> {
        let lost = |answer: &Completed| *answer == Completed::Lost;
        if !answers.iter().any(lost) {
            return Ok(answers);
        }
        let zipped = completions.iter().zip(&answers).filter(|(_, answer)| lost(answer));
        let keys: HashSet<&StoreKey> = zipped.map(|(completion, _)| &completion.held.key).collect();
        let doubtful = |completion: &&Completion| keys.contains(&completion.held.key);
        let contests: Vec<_> = completions.iter().filter(doubtful).map(Contest::of).collect();
        let mut contested = self.call(&contests).await?.into_iter();
        for (completion, answer) in completions.iter().zip(&mut answers) {
            if doubtful(&completion) {
                *answer = contested.next().flatten().unwrap_or(*answer);
            }
        }
        Ok(answers)
    }
}
