//! What an operator orders, done: written down, said to all pods, and waited for. The command line and the API do the same.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use super::{
    follower::Followed,
    operator::{Fleet, Heeded},
    order::Order,
    said::{Pause, plain},
    scope::Scope,
};
use crate::audit::{Act, Audit, Outcome};

/// What became of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Acted {
    pub(crate) service: String,
    pub(crate) group: String,
    /// What was paused, or goes on; nothing, where nothing of that was paused.
    pub(crate) scopes: Vec<Scope>,
    #[serde(flatten)]
    pub(crate) heeded: Heeded,
    /// What is paused now.
    pub(crate) paused: Vec<Paused>,
}

/// Something that is paused.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Paused {
    #[serde(flatten)]
    pub(crate) scope: Scope,
    #[serde(flatten)]
    pub(crate) pause: Pause,
}

/// It was not done, or nobody knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotDone {
    /// Nor can it be, as things stand.
    #[error("nothing was done: {0}")]
    Impossible(String),
    /// It could be done at another time.
    #[error("{0}")]
    Trouble(String),
}

impl Fleet {
    /// Pauses, and waits for the pods.
    pub(crate) async fn pause(
        &self,
        audit: &Audit,
        order: &Order,
        reason: Option<&str>,
        wait: Duration,
    ) -> Result<Acted, NotDone> {
        self.known(wait).await?;
        let pause = Pause {
            id: format!("{:032x}", rand::random::<u128>()),
            service: order.service.clone(),
            who: plain(audit.who()),
            at: Timestamp::now(),
            reason: reason.map(plain),
        };
        let scopes = vec![order.scope.clone()];
        let offset = self.act(audit, "pause", order, &scopes, Some(pause), wait).await?;
        Ok(self.acted(order, scopes, offset, wait).await)
    }

    /// Takes away what was paused, exactly that or all of the service, and waits for the pods.
    pub(crate) async fn resume(
        &self,
        audit: &Audit,
        order: &Order,
        wait: Duration,
    ) -> Result<Acted, NotDone> {
        self.known(wait).await?;
        let scopes: Vec<Scope> = {
            let followed = self.follower.followed();
            let group = &order.scope.group;
            let told = followed.view.paused(group).map(|(scope, _)| scope.clone());
            // What pods were told by a topic that is gone stays until it is taken away here.
            let heeded = followed
                .view
                .pods(group, followed.now_ms())
                .flat_map(|(_, heard)| heard.of(group).into_iter().flat_map(|service| &service.paused));
            let mut scopes: Vec<Scope> = told.chain(heeded.filter_map(|key| Scope::of_key(key))).collect();
            scopes.retain(|scope| scope.group == *group && (order.all || *scope == order.scope));
            scopes.sort();
            scopes.dedup();
            scopes
        };
        let offset = if scopes.is_empty() {
            -1
        } else {
            self.act(audit, "resume", order, &scopes, None, wait).await?
        };
        Ok(self.acted(order, scopes, offset, wait).await)
    }

    /// Waits until it is known what is paused.
    async fn known(&self, wait: Duration) -> Result<(), NotDone> {
        let known = self.follower.until(|followed| followed.is_known().then_some(()));
        tokio::time::timeout(wait, known).await.map_err(|_| {
            let trouble = self.follower.followed().trouble.clone();
            let why = trouble.unwrap_or_else(|| "no answer in time".to_owned());
            NotDone::Trouble(format!(
                "nothing was done, for the control topic {} cannot be read: {why}",
                self.topic
            ))
        })
    }

    /// Writes it down, then says it; answers where the last word stands.
    async fn act(
        &self,
        audit: &Audit,
        verb: &'static str,
        order: &Order,
        scopes: &[Scope],
        pause: Option<Pause>,
        wait: Duration,
    ) -> Result<i64, NotDone> {
        let reason = pause.as_ref().and_then(|pause| pause.reason.clone());
        let before = json!({ "scopes": scopes, "reason": reason, "paused": self.paused(&order.scope.group) });
        let group = order.scope.group.clone();
        let act = Act { verb, group, handler: order.scope.handler.clone(), key: None, before };
        let intent = audit.intend(act).await.map_err(|error| NotDone::Trouble(error.to_string()))?;
        let mut offset = -1;
        for scope in scopes {
            match self.say(scope, pause.clone(), wait).await {
                Ok(at) => offset = offset.max(at),
                Err(reason) => {
                    let reason = format!("nobody knows whether it was done: {reason}");
                    let unwritten = audit.amend(&intent, Outcome::Failed, &reason).await.err();
                    let more = unwritten.map_or_else(String::new, |error| {
                        format!("; nor could that be written down: {error}")
                    });
                    return Err(NotDone::Trouble(format!("{reason}{more}")));
                }
            }
        }
        Ok(offset)
    }

    async fn acted(&self, order: &Order, scopes: Vec<Scope>, offset: i64, wait: Duration) -> Acted {
        let group = order.scope.group.clone();
        let heeded = self.heeded(&group, offset, wait).await;
        Acted { service: order.service.clone(), paused: self.paused(&group), group, scopes, heeded }
    }

    fn paused(&self, group: &str) -> Vec<Paused> {
        paused_of(&self.follower.followed(), group)
    }
}

impl Acted {
    /// Nothing of what was to go on is paused, but something else is.
    pub(crate) fn is_about_something_else(&self) -> bool {
        self.scopes.is_empty() && !self.paused.is_empty()
    }
}

/// What is paused of a group.
pub(super) fn paused_of(followed: &Followed, group: &str) -> Vec<Paused> {
    let paused = followed.view.paused(group);
    paused.map(|(scope, pause)| Paused { scope: scope.clone(), pause: pause.clone() }).collect()
}
