//! The verbs that do something: what is wanted, the question before, the record of it, and the end.

use std::{io::IsTerminal, process::ExitCode};

use serde_json::{Value, json};
use tokio::sync::watch;

use super::{
    Verb,
    args::{Chosen, Redrive},
    filter, progress,
    shown::Report,
};
use crate::{
    app::{FAILED, FINE, failed, operator::confirmed},
    audit::{self, Audit, Outcome},
    letters::{Act, By, Desk, Done, Drawer, Edit, LettersError, Wish},
};

/// What was done by topic, and what ended it before its time.
type Went = (Vec<(String, Done)>, Option<LettersError>);

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
        let Some((record, ..)) = self.find(&drawer, place).await? else {
            return Err(order(format!(
                "--one {place}: there is no letter at this place of {}",
                drawer.letters
            )));
        };
        let edited = json!({
            "before": record.value.as_deref().map(Edit::digest),
            "after": Edit::digest(&value),
        });
        Ok(Acting { wish: Wish { edit: Some(Edit(value.into())), ..wish }, edited: Some(edited) })
    }

    /// Asks, writes down what is intended, does it, writes down how it went, and says so.
    pub(super) async fn deal(
        &self,
        act: Act,
        wish: Wish,
        chosen: &Chosen,
        edited: Option<Value>,
    ) -> Result<ExitCode, LettersError> {
        let asks = !chosen.yes;
        if !chosen.dry_run && asks && !std::io::stdin().is_terminal() {
            let how = "add --yes: there is no terminal to ask at; --dry-run says what would be done";
            return Err(LettersError::Order(how.to_owned()));
        }
        if chosen.dry_run || asks {
            let would = self.rehearse(act, &wish).await?;
            let report = Report { act, is_dry: true, audit: None, topics: &would, error: None };
            if chosen.dry_run {
                self.told(&report);
                return Ok(ExitCode::from(if report.has_all(&wish) { FINE } else { FAILED }));
            }
            eprintln!("{}\n", report.text());
            eprint!("{} [y/N] ", report.question());
            if !confirmed() {
                return Ok(failed("Nothing was done."));
            }
        }
        let audit = Audit::open(self.settings).await?;
        let before = json!({
            "letters": self.drawers.iter().map(|drawer| drawer.letters.as_str()).collect::<Vec<_>>(),
            "filter": wish.filter,
            "one": wish.places,
            "max": wish.max,
            "cap": (act == Act::Redrive).then_some(wish.cap),
            "edited": edited,
        });
        let group = self.drawers.first().map(|drawer| drawer.group.clone()).unwrap_or_default();
        let verb = match act {
            Act::Redrive => "dead-letters redrive",
            Act::Discard => "dead-letters discard",
        };
        let intent = audit.intend(audit::Act { verb, group, handler: None, key: None, before }).await?;
        let by = By { who: audit.who().to_owned(), act: intent.id().to_owned() };
        let (done, error) = self.carry_out(act, &wish, by).await?;
        let report =
            Report { act, is_dry: false, audit: Some(intent.id()), topics: &done, error: error.as_ref() };
        let outcome = if error.is_none() { Outcome::Done } else { Outcome::Failed };
        if let Err(error) = audit.amend(&intent, outcome, &report.sentence()).await {
            eprintln!("how it went could not be written down: {error}");
        }
        self.told(&report);
        Ok(ExitCode::from(if error.is_none() && report.has_all(&wish) { FINE } else { FAILED }))
    }

    fn told(&self, report: &Report<'_>) {
        if self.json {
            println!("{}", report.json());
        } else {
            println!("{}", report.text());
        }
    }

    async fn rehearse(&self, act: Act, wish: &Wish) -> Result<Vec<(String, Done)>, LettersError> {
        let wish = wish.clone();
        self.blocking(move |desk, drawers| {
            let each = |drawer: &Drawer, wish: &Wish| Ok((desk.rehearse(drawer, act, wish)?, None));
            through(&drawers, &wish, each).map(|(done, _)| done)
        })
        .await
    }

    /// What was done, and what ended it before its time.
    async fn carry_out(&self, act: Act, wish: &Wish, by: By) -> Result<Went, LettersError> {
        let (told, news) = watch::channel(0);
        let shown = tokio::spawn(progress::show(news));
        let wish = wish.clone();
        let done = self.blocking(move |desk: Desk, drawers| {
            let mut before = 0;
            through(&drawers, &wish, |drawer, wish| {
                let mut tell = |done: &Done| {
                    told.send_replace(before + done.all());
                };
                let (done, went) = desk.act(drawer, act, wish, &by, &mut tell);
                before += done.all();
                Ok((done, went.err()))
            })
        });
        let done = done.await;
        drop(shown.await);
        done
    }
}

/// One drawer after the other, until one fails or there were enough.
fn through(
    drawers: &[Drawer],
    wish: &Wish,
    mut each: impl FnMut(&Drawer, &Wish) -> Result<(Done, Option<LettersError>), LettersError>,
) -> Result<Went, LettersError> {
    let (mut all, mut left) = (Vec::new(), wish.max);
    for drawer in drawers {
        if left == Some(0) {
            break;
        }
        let (done, error) = each(drawer, &Wish { max: left, ..wish.clone() })?;
        left = left.map(|left| left.saturating_sub(done.all()));
        all.push((drawer.letters.clone(), done));
        if error.is_some() {
            return Ok((all, error));
        }
    }
    Ok((all, None))
}
