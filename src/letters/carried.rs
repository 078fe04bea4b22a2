//! An act from its record in the audit topic to its end, for the command line and for the API alike.

use serde_json::{Value, json};

use super::{Act, By, Desk, Done, Drawer, LettersError, Place, Wish};
use crate::{
    audit::{self, Audit, Outcome},
    telemetry::spans::Deed,
};

/// What was done, or would be.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) act: Act,
    /// The act's name in the audit topic; none where nothing was done.
    pub(crate) audit: Option<String>,
    /// By the topics of the letters.
    pub(crate) topics: Vec<(String, Done)>,
    /// What ended it before its time.
    pub(crate) error: Option<LettersError>,
    /// What it could not write down of its end.
    pub(crate) unwritten: Option<String>,
}

/// Writes down what is intended, does it, and writes down how it went. `tell` hears how many were dealt with.
///
/// # Errors
/// It cannot be written down, so nothing was done.
pub(crate) async fn carry_out(
    audit: &Audit,
    (desk, drawers): (Desk, Vec<Drawer>),
    act: Act,
    wish: Wish,
    edited: Option<Value>,
    tell: impl Fn(u64) + Send + 'static,
) -> Result<Report, LettersError> {
    let before = json!({
        "letters": drawers.iter().map(|drawer| drawer.letters.as_str()).collect::<Vec<_>>(),
        "filter": wish.filter,
        "one": wish.places,
        "max": wish.max,
        "cap": (act == Act::Redrive).then_some(wish.cap),
        "edited": edited,
    });
    let group = drawers.first().map(|drawer| drawer.group.clone()).unwrap_or_default();
    let intent = audit
        .intend(audit::Act { verb: act.verb(), group: group.clone(), handler: None, key: None, before })
        .await?;
    let deed = (act == Act::Redrive).then(|| Deed::begin("redrive", &group, intent.id())).flatten();
    let by = By { who: audit.who().to_owned(), act: intent.id().to_owned(), deed: deed.clone() };
    let work = tokio::task::spawn_blocking(move || {
        let mut all = 0;
        through(&drawers, &wish, |drawer, wish| {
            let (done, went) = desk.act(drawer, act, wish, &by, &mut |done: &Done| tell(all + done.all()));
            all += done.all();
            (done, went.err())
        })
    });
    let (topics, error) = work.await.unwrap_or_else(|_| (Vec::new(), Some(LettersError::Interrupted)));
    let mut report = Report { act, audit: Some(intent.id().to_owned()), topics, error, unwritten: None };
    if let Some(deed) = deed {
        deed.end(report.total().redriven, report.error.as_ref().map(ToString::to_string));
    }
    let outcome = if report.error.is_none() { Outcome::Done } else { Outcome::Failed };
    let written = audit.amend(&intent, outcome, &report.sentence()).await;
    report.unwritten = written.err().map(|error| error.to_string());
    Ok(report)
}

/// Says what would be done. Blocks.
pub(crate) fn rehearse(desk: &Desk, drawers: &[Drawer], act: Act, wish: &Wish) -> Report {
    let (topics, error) = through(drawers, wish, |drawer, wish| match desk.rehearse(drawer, act, wish) {
        Ok(done) => (done, None),
        Err(error) => (Done::default(), Some(error)),
    });
    Report { act, audit: None, topics, error, unwritten: None }
}

/// One drawer after the other, until one fails or there were enough.
fn through(
    drawers: &[Drawer],
    wish: &Wish,
    mut each: impl FnMut(&Drawer, &Wish) -> (Done, Option<LettersError>),
) -> (Vec<(String, Done)>, Option<LettersError>) {
    let (mut all, mut left) = (Vec::new(), wish.max);
    for drawer in drawers {
        if left == Some(0) {
            break;
        }
        let (done, error) = each(drawer, &Wish { max: left, ..wish.clone() });
        left = left.map(|left| left.saturating_sub(done.all()));
        all.push((drawer.letters.clone(), done));
        if error.is_some() {
            return (all, error);
        }
    }
    (all, None)
}

impl Report {
    /// All topics together.
    pub(crate) fn total(&self) -> Done {
        let mut total = Done::default();
        for (_, done) in &self.topics {
            total.redriven += done.redriven;
            total.parked += done.parked;
            total.discarded += done.discarded;
            total.before += done.before;
            for (why, (count, place)) in &done.refused {
                total.refused.entry(why.clone()).or_insert((0, *place)).0 += count;
            }
        }
        total
    }

    /// Whether every letter that was meant was dealt with, and those that were named are there.
    pub(crate) fn has_all(&self, named: usize) -> bool {
        let total = self.total();
        self.error.is_none() && total.refused.is_empty() && total.all() + total.before >= named as u64
    }

    /// What was done, in one line.
    pub(crate) fn sentence(&self) -> String {
        let total = self.total();
        let mut parts = match self.act {
            Act::Redrive => vec![format!("{} redriven", total.redriven), format!("{} parked", total.parked)],
            Act::Discard => vec![format!("{} discarded", total.discarded)],
        };
        if total.before > 0 {
            parts.push(format!("{} dealt with before", total.before));
        }
        let refused = |(why, (count, place)): (&String, &(u64, Place))| {
            format!("{count} refused, such as {place}: {why}")
        };
        parts.extend(total.refused.iter().map(refused));
        let error = self.error.as_ref();
        let error = error.map(|error| format!("; it ended before its time: {error}")).unwrap_or_default();
        format!("{}{error}", parts.join(", "))
    }

    pub(crate) fn json(&self) -> Value {
        let topics = self.topics.iter().map(|(letters, done)| {
            let mut value = json!(done);
            let refused = done.refused.iter();
            let refused =
                refused.map(|(why, (count, place))| json!({ "reason": why, "count": count, "one": place }));
            value["refused"] = refused.collect();
            value["letters"] = letters.clone().into();
            value
        });
        json!({
            "dry_run": self.audit.is_none(),
            "act": self.audit,
            "topics": topics.collect::<Vec<_>>(),
            "error": self.error.as_ref().map(ToString::to_string),
        })
    }
}
