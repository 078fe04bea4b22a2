//! The verbs that do something: what is wanted, the question before, the record of it, and the end.

use std::{io::IsTerminal, process::ExitCode};

use serde_json::{Value, json};
use tokio::sync::watch;

use super::{
    Verb,
    args::{Chosen, Redrive},
    filter, progress, shown,
};
use crate::{
    app::{FAILED, FINE, failed, operator::confirmed},
    audit::Audit,
    letters::{Act, Edit, LettersError, Report, Wish, carry_out, rehearse},
};

/// What is to be redriven.
pub(super) struct Acting {
    pub(super) wish: Wish,
    /// The digests of a value and of what is sent instead.
    pub(super) edited: Option<Value>,
}

impl Verb<'_> {
    /// Which letters are meant.
    pub(super) fn chosen(&self, chosen: &Chosen) -> Result<Wish, LettersError> {
        if !chosen.one.is_empty() {
            self.only()?;
        }
        let filter = filter(&chosen.filter)?;
        let (places, max) = (chosen.one.iter().copied().collect(), chosen.max);
        Ok(Wish { filter, places, max, ..Wish::default() })
    }

    pub(super) async fn wish(&self, redrive: &Redrive) -> Result<Acting, LettersError> {
        let cap = redrive.cap.unwrap_or(self.settings.dead_letter.max_redrives);
        let wish = Wish { rate: redrive.rate, cap, ..self.chosen(&redrive.chosen)? };
        let Some(file) = &redrive.with_value else { return Ok(Acting { wish, edited: None }) };
        let order = |problem: String| LettersError::Order(problem);
        let [place] = redrive.chosen.one[..] else {
            return Err(order("--with-value: name one letter with --one".to_owned()));
        };
        let value = std::fs::read(file)
            .map_err(|error| order(format!("--with-value {}: cannot be read: {error}", file.display())))?;
        let drawer = self.only()?;
        let Some(found) = self.find(&drawer, place).await? else {
            return Err(order(format!(
                "--one {place}: there is no letter at this place of {}",
                drawer.letters
            )));
        };
        let edited = json!({
            "before": found.record.value.as_deref().map(Edit::digest),
            "after": Edit::digest(&value),
        });
        Ok(Acting { wish: Wish { edit: Some(Edit(value.into())), ..wish }, edited: Some(edited) })
    }

    /// Asks, does it, and says how it went.
    pub(super) async fn deal(
        &self,
        act: Act,
        wish: Wish,
        chosen: &Chosen,
        edited: Option<Value>,
    ) -> Result<ExitCode, LettersError> {
        let (asks, named) = (!chosen.yes, wish.places.len());
        if !chosen.dry_run && asks && !std::io::stdin().is_terminal() {
            let how = "add --yes: there is no terminal to ask at; --dry-run says what would be done";
            return Err(LettersError::Order(how.to_owned()));
        }
        if chosen.dry_run || asks {
            let wish = wish.clone();
            let would = self.blocking(move |desk, drawers| Ok(rehearse(&desk, &drawers, act, &wish))).await?;
            if let Some(error) = would.error {
                return Err(error);
            }
            if chosen.dry_run {
                return Ok(self.told(&would, named));
            }
            eprintln!("{}\n", shown::report(&would));
            eprint!("{} [y/N] ", shown::question(&would));
            if !confirmed() {
                return Ok(failed("Nothing was done."));
            }
        }
        let audit = Audit::open(self.settings).await?;
        let (told, news) = watch::channel(0);
        let progress = tokio::spawn(progress::show(news));
        let tell = move |done| {
            told.send_replace(done);
        };
        let place = (self.desk.clone(), self.drawers.clone());
        let report = carry_out(&audit, place, act, wish, edited, tell).await;
        // It ends with the last of its news.
        drop(progress.await);
        let report = report?;
        if let Some(error) = &report.unwritten {
            eprintln!("how it went could not be written down: {error}");
        }
        Ok(self.told(&report, named))
    }

    fn told(&self, report: &Report, named: usize) -> ExitCode {
        if self.json {
            println!("{}", report.json());
        } else {
            println!("{}", shown::report(report));
        }
        ExitCode::from(if report.has_all(named) { FINE } else { FAILED })
    }
}
