//! A replay as an act of somebody: written down before it begins, and once more when it has ended.

use serde_json::{Value, json};
use tokio::sync::watch;

use super::{Entry, Ran, ReplayError, Replayer, Survey};
use crate::audit::{Act, Audit, AuditError, Outcome};

/// How an act went.
#[derive(Debug)]
pub(crate) struct Acted {
    /// The replay at its end, or why there was none.
    pub(crate) ran: Result<Ran, ReplayError>,
    /// How it went could not be written down.
    pub(crate) unwritten: Option<AuditError>,
}

impl From<AuditError> for ReplayError {
    fn from(error: AuditError) -> Self {
        Self::Trouble(error.to_string())
    }
}

impl Replayer<'_> {
    /// Writes down that it begins, runs it, and writes down how it went.
    ///
    /// # Errors
    /// It could not be written down, so nothing was done.
    pub(crate) async fn act(
        &self,
        audit: &Audit,
        verb: &'static str,
        entry: Entry,
        survey: Option<&Survey>,
        progress: &watch::Sender<Entry>,
    ) -> Result<Acted, ReplayError> {
        self.recognise(&entry).await?;
        // Before it is written down that this group was replayed: whether it is new is told by that, too.
        self.keep(&entry.order).await?;
        let (group, before) = (entry.group.clone(), before(&entry, survey));
        let intent = audit.intend(Act { verb, group, handler: None, key: None, before }).await?;
        let ran = self.run(entry, progress).await;
        let (outcome, reason) = match &ran {
            Ok(Ran { entry, .. }) => (Outcome::Done, after(entry)),
            Err(error) => (Outcome::Refused, error.to_string()),
        };
        let unwritten = audit.amend(&intent, outcome, &reason).await.err();
        Ok(Acted { ran, unwritten })
    }
}

/// What is said where a range holds events that may have taken effect and are forgotten.
pub(crate) fn refuse_unknown(survey: &Survey, order: &super::Order) -> Result<(), ReplayError> {
    match survey.tally().unknown {
        0 => Ok(()),
        _ if order.allow_unknown => Ok(()),
        unknown => Err(ReplayError::Unknown(format!(
            "Nothing was replayed: of {unknown} events nobody knows whether they took effect, for the store does not reach back that far. --allow-unknown runs them."
        ))),
    }
}

fn before(entry: &Entry, survey: Option<&Survey>) -> Value {
    let at: Vec<Value> = entry
        .parts
        .iter()
        .map(|part| json!({ "topic": part.topic, "partition": part.partition, "at": part.at, "end": part.end }))
        .collect();
    json!({ "id": entry.id, "order": entry.order, "parts": at, "survey": survey.map(Survey::tally) })
}

fn after(entry: &Entry) -> String {
    json!({ "state": entry.state, "why": entry.why, "tally": entry.tally() }).to_string()
}
