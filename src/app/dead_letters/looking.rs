//! The verbs that only look.

use std::{collections::BTreeSet, ops::ControlFlow, process::ExitCode};

use serde_json::json;

use super::{Verb, args::Only, filter, shown};
use crate::{
    Record,
    app::{FINE, failed},
    letters::{Counts, Drawer, Group, Groups, Letter, LettersError, Mark, Place, State, Waiting},
};

/// A letter, where it lies and how it stands.
pub(super) struct Found {
    pub(super) letters: String,
    pub(super) letter: Letter,
    pub(super) mark: Option<Mark>,
}

/// How the letters of one topic stand.
pub(super) struct Standing {
    pub(super) letters: String,
    pub(super) counts: Counts,
    pub(super) waiting: Vec<Waiting>,
}

impl Verb<'_> {
    /// Tells of every letter that is meant.
    async fn look<T: Default + Send + 'static>(
        &self,
        only: &Only,
        mut each: impl FnMut(&mut T, &Drawer, Letter, Option<&Mark>) -> ControlFlow<()> + Send + 'static,
    ) -> Result<T, LettersError> {
        let (filter, state) = (filter(&only.filter)?, (!only.any_state).then_some(only.state));
        self.blocking(move |desk, drawers| {
            let mut found = T::default();
            for drawer in &drawers {
                drawer.look(&desk.client, &BTreeSet::new(), &desk.cancel, |_, letter, mark| {
                    let stands = mark.map_or(State::Open, |mark| mark.state);
                    if state.is_some_and(|state| state != stands) || !filter.takes(&letter) {
                        return ControlFlow::Continue(());
                    }
                    each(&mut found, drawer, letter, mark)
                })?;
            }
            Ok(found)
        })
        .await
    }

    pub(super) async fn list(&self, only: &Only, max: u64) -> Result<ExitCode, LettersError> {
        let found: Vec<Found> = self
            .look(only, move |found: &mut Vec<Found>, drawer, letter, mark| {
                found.push(Found { letters: drawer.letters.clone(), letter, mark: mark.cloned() });
                // One more than wanted tells that there are more.
                if found.len() as u64 > max { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
            .await?;
        let most = usize::try_from(max).unwrap_or(usize::MAX);
        let has_more = found.len() > most;
        let found = &found[..found.len().min(most)];
        if self.json {
            println!(
                "{}",
                json!({ "letters": found.iter().map(shown::found_json).collect::<Vec<_>>(), "more": has_more })
            );
        } else {
            println!("{}", shown::list(found, has_more));
        }
        Ok(ExitCode::from(FINE))
    }

    pub(super) async fn groups(&self, only: &Only) -> Result<ExitCode, LettersError> {
        let groups: Groups = self
            .look(only, |groups: &mut Groups, drawer, letter, _| {
                groups.add(&drawer.letters, &letter);
                ControlFlow::Continue(())
            })
            .await?;
        let groups: Vec<Group> = groups.sorted();
        if self.json {
            println!("{}", json!({ "groups": groups }));
        } else {
            println!("{}", shown::groups(&groups));
        }
        Ok(ExitCode::from(FINE))
    }

    pub(super) async fn status(&self) -> Result<ExitCode, LettersError> {
        let standing = self.blocking(|desk, drawers| {
            drawers
                .iter()
                .map(|drawer| {
                    let mut counts = Counts::default();
                    drawer.look(&desk.client, &BTreeSet::new(), &desk.cancel, |_, _, mark| {
                        counts.add(mark.map_or(State::Open, |mark| mark.state));
                        ControlFlow::Continue(())
                    })?;
                    let waiting = drawer.waiting(&desk.client, &desk.cancel)?;
                    Ok(Standing { letters: drawer.letters.clone(), counts, waiting })
                })
                .collect::<Result<Vec<Standing>, LettersError>>()
        });
        let standing = standing.await?;
        if self.json {
            println!("{}", shown::status_json(&standing));
        } else {
            println!("{}", shown::status(&standing));
        }
        Ok(ExitCode::from(FINE))
    }

    pub(super) async fn show(&self, place: Place, payload: bool) -> Result<ExitCode, LettersError> {
        let drawer = self.only()?;
        let Some((record, letter, mark)) = self.find(&drawer, place).await? else {
            return Ok(failed(format!("{place}: there is no letter at this place of {}", drawer.letters)));
        };
        let found = Found { letters: drawer.letters, letter, mark };
        if self.json {
            println!("{}", shown::letter_json(&found, &record, payload));
        } else {
            println!("{}", shown::letter(&found, &record, payload));
        }
        Ok(ExitCode::from(FINE))
    }

    /// The letter at one place.
    pub(super) async fn find(
        &self,
        drawer: &Drawer,
        place: Place,
    ) -> Result<Option<(Record, Letter, Option<Mark>)>, LettersError> {
        let drawer = drawer.clone();
        self.blocking(move |desk, _| {
            let mut found = None;
            drawer.look(&desk.client, &BTreeSet::from([place]), &desk.cancel, |record, letter, mark| {
                found = Some((record, letter, mark.cloned()));
                ControlFlow::Break(())
            })?;
            Ok(found)
        })
        .await
    }

    /// A place means something in one topic alone.
    pub(super) fn only(&self) -> Result<Drawer, LettersError> {
        match &self.drawers[..] {
            [drawer] => Ok(drawer.clone()),
            drawers => {
                let names: Vec<&str> = drawers.iter().map(|drawer| drawer.letters.as_str()).collect();
                let problem = format!(
                    "--one: say with --topic in which topic; there are letters in {}",
                    names.join(", ")
                );
                Err(LettersError::Order(problem))
            }
        }
    }
}
