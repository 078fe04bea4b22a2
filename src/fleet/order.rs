//! One order of an operator, from its words to the answers of the pods. The command line and the API give the same.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use super::{
    operator::{Fleet, Heeded},
    said::{Pause, plain},
    scope::Scope,
};
use crate::{
    Service,
    audit::{Act, Audit, Outcome},
    config::Settings,
    worker::group_of,
};

/// What is to be paused, or to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) service: String,
    pub(crate) scope: Scope,
}

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
#[error("{0}")]
pub(crate) struct NotDone(pub(crate) String);

impl Order {
    /// All that is wrong with the names comes at once.
    pub(crate) fn of(
        settings: &Settings,
        services: &[Service],
        name: &str,
        topic: Option<&str>,
        handler: Option<&str>,
    ) -> Result<Self, Vec<String>> {
        let Some(service) = services.iter().find(|service| service.name() == name) else {
            let names = services.iter().map(Service::name).collect::<Vec<_>>().join(", ");
            return Err(vec![format!("--service {name}: there is no such service; there are {names}")]);
        };
        let mut problems = Vec::new();
        let physical = topic.and_then(|wanted| {
            let known: Vec<&str> = service.table().topics().collect();
            let is_it = |topic: &&&str| **topic == wanted || settings.topics.physical(topic) == wanted;
            let found = known.iter().find(is_it).map(|topic| settings.topics.physical(topic).to_owned());
            if found.is_none() {
                let known = known.join(", ");
                problems
                    .push(format!("--topic {wanted}: {name} consumes no such topic; it consumes {known}"));
            }
            found
        });
        if let Some(wanted) = handler
            && !service.table().handlers().any(|known| known == wanted)
        {
            let known = service.table().handlers().collect::<Vec<_>>().join(", ");
            problems
                .push(format!("--handler {wanted}: there is no such handler of {name}; there are {known}"));
        }
        if topic.is_some() && handler.is_some() {
            problems.push("--topic and --handler: a pause is about one of the two".to_owned());
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let group = group_of(service, &settings.service(name));
        Ok(Self {
            service: name.to_owned(),
            scope: Scope { group, topic: physical, handler: handler.map(str::to_owned) },
        })
    }
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

    /// Takes away what was paused, exactly that or `all` of the service, and waits for the pods.
    pub(crate) async fn resume(
        &self,
        audit: &Audit,
        order: &Order,
        all: bool,
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
            scopes.retain(|scope| scope.group == *group && (all || *scope == order.scope));
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
            NotDone(format!("nothing was done, for the control topic {} cannot be read: {why}", self.topic))
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
        let intent = audit.intend(act).await.map_err(|error| NotDone(error.to_string()))?;
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
                    return Err(NotDone(format!("{reason}{more}")));
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

    /// What is paused of a group.
    pub(crate) fn paused(&self, group: &str) -> Vec<Paused> {
        let followed = self.follower.followed();
        let paused = followed.view.paused(group);
        paused.map(|(scope, pause)| Paused { scope: scope.clone(), pause: pause.clone() }).collect()
    }
}
