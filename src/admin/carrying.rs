//! One replay in this process, from its order to its end.

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::runner::{Answer, Begun, Scene, Wanted};
use crate::{
    Service,
    audit::Audit,
    replay::{Acted, Ran, ReplayError, Replayer, Survey, refuse_unknown},
};

impl Scene {
    pub(super) async fn carry_out(
        &self,
        service: &Service,
        wanted: Wanted,
        id: String,
        who: String,
        cancel: CancellationToken,
        answer: Answer<Begun>,
    ) {
        let replayer = self.replayer(service, &cancel);
        let prepared = async {
            let (verb, begun, survey) = prepare(&replayer, wanted, &id).await?;
            // Whoever asked has gone away, and nothing has begun.
            if cancel.is_cancelled() {
                return Err(ReplayError::Trouble("it was told to stop before it began".to_owned()));
            }
            Ok((verb, begun, survey, Audit::open(&self.stage.settings).await?.by(who)))
        };
        let (verb, begun, survey, audit) = match prepared.await {
            Ok(prepared) => prepared,
            Err(error) => {
                let kept = refused(&error);
                return self.answer(&id, answer, Err(error), kept);
            }
        };
        self.running().insert(id.clone(), cancel.clone());
        let (told, mut news) = watch::channel(begun.entry.clone());
        let warnings = begun.warnings;
        let acting = async {
            let acted = replayer.act(&audit, verb, begun.entry, survey.as_ref(), &told).await;
            drop(told);
            acted
        };
        let answering = async {
            // Its first news come when it is written down and has its partitions.
            match news.changed().await {
                Ok(()) => {
                    self.looks.forget(&id);
                    drop(answer.send(Ok(Begun { entry: news.borrow().clone(), warnings })));
                }
                Err(_) => return Some((answer, warnings)),
            }
            None
        };
        let (acted, unanswered) = tokio::join!(acting, answering);
        self.running().remove(&id);
        let ran = acted.and_then(|Acted { ran, unwritten }| {
            if let Some(error) = unwritten {
                tracing::error!(replay = id, %error, "how a replay went could not be written down");
            }
            ran
        });
        match &ran {
            Ok(Ran { entry, cut_off }) => {
                self.cut_off().extend(cut_off.iter().cloned());
                tracing::info!(replay = id, state = ?entry.state, tally = ?entry.tally(), "replayed")
            }
            Err(error) => tracing::warn!(replay = id, %error, "not replayed"),
        }
        if let Some((answer, warnings)) = unanswered {
            let kept = ran.as_ref().err().map(refused).unwrap_or_default();
            let is_written_down = ran.is_ok();
            self.answer(&id, answer, ran.map(|Ran { entry, .. }| Begun { entry, warnings }), kept);
            if is_written_down {
                self.looks.forget(&id);
            }
        }
    }

    /// Answers whoever waits; where nobody does any more, it is kept.
    pub(super) fn answer<T>(&self, id: &str, answer: Answer<T>, found: Result<T, ReplayError>, kept: Value) {
        match answer.send(found) {
            Ok(()) => self.looks.forget(id),
            Err(_) => self.looks.end(id, kept),
        }
    }
}

/// The words for the audit, what is about to run, and what a look at it has found, where one was needed.
async fn prepare(
    replayer: &Replayer<'_>,
    wanted: Wanted,
    id: &str,
) -> Result<(&'static str, Begun, Option<Survey>), ReplayError> {
    match wanted {
        Wanted::Resumed(entry) => Ok(("replay --resume", Begun { entry, warnings: Vec::new() }, None)),
        Wanted::New(order) => {
            let mut survey = None;
            if replayer.reaches_beyond_memory(&order).await? {
                let (found, _) = replayer.survey(&order).await?;
                refuse_unknown(&found, &order)?;
                survey = Some(found);
            }
            let (entry, warnings) = replayer.enter(order, id.to_owned()).await?;
            Ok(("replay", Begun { entry, warnings }, survey))
        }
    }
}

/// What is kept of a refusal.
pub(super) fn refused(error: &ReplayError) -> Value {
    json!({ "state": "refused", "error": error.to_string() })
}
