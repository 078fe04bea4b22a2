//! The verbs that only look.

use std::{collections::BTreeSet, process::ExitCode};

use serde_json::json;

use super::{Verb, args::Only, filter, shown};
use crate::{
    app::{FINE, failed},
    letters::{Drawer, Found, LettersError, Place, Search, standing},
};

impl Only {
    fn search(&self) -> Result<Search, LettersError> {
        let state = (!self.any_state).then_some(self.state);
        Ok(Search { filter: filter(&self.filter)?, state, ..Search::default() })
    }
}

impl Verb<'_> {
    pub(super) async fn list(&self, only: &Only, max: u64) -> Result<ExitCode, LettersError> {
        let (search, most) = (only.search()?, usize::try_from(max).unwrap_or(usize::MAX));
        let (found, more) =
            self.blocking(move |desk, drawers| search.list(&desk, &drawers, most, false)).await?;
        if self.json {
            println!(
                "{}",
                json!({ "letters": found.iter().map(Found::json).collect::<Vec<_>>(), "more": more })
            );
        } else {
            println!("{}", shown::list(&found, more));
        }
        Ok(ExitCode::from(FINE))
    }

    pub(super) async fn groups(&self, only: &Only) -> Result<ExitCode, LettersError> {
        let search = only.search()?;
        let groups = self.blocking(move |desk, drawers| search.groups(&desk, &drawers)).await?.sorted();
        if self.json {
            println!("{}", json!({ "groups": groups }));
        } else {
            println!("{}", shown::groups(&groups));
        }
        Ok(ExitCode::from(FINE))
    }

    pub(super) async fn status(&self) -> Result<ExitCode, LettersError> {
        let standing = self.blocking(|desk, drawers| standing(&desk, &drawers)).await?;
        if self.json {
            println!("{}", json!({ "topics": standing.iter().map(|one| one.json()).collect::<Vec<_>>() }));
        } else {
            println!("{}", shown::status(&standing));
        }
        Ok(ExitCode::from(FINE))
    }

    pub(super) async fn show(&self, place: Place, payload: bool) -> Result<ExitCode, LettersError> {
        let drawer = self.only()?;
        let Some(found) = self.find(&drawer, place).await? else {
            return Ok(failed(format!("{place}: there is no letter at this place of {}", drawer.letters)));
        };
        if self.json {
            println!("{}", found.whole(payload));
        } else {
            println!("{}", shown::letter(&found, payload));
        }
        Ok(ExitCode::from(FINE))
    }

    /// The letter at one place.
    pub(super) async fn find(&self, drawer: &Drawer, place: Place) -> Result<Option<Found>, LettersError> {
        let drawers = vec![drawer.clone()];
        let search = Search { places: BTreeSet::from([place]), ..Search::default() };
        let found = self.blocking(move |desk, _| search.list(&desk, &drawers, 1, true)).await?;
        Ok(found.0.into_iter().next())
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
