//! How all pods of some services are, what is paused of them, and how far their groups are.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::{
    acting::{Paused, paused_of},
    follower::{Followed, Standing},
    lag::GroupLag,
    view::Heard,
};
use crate::{Service, config::Settings, worker::group_of};

/// All that is to be told.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Status {
    /// Why nothing is known of pods and pauses, if so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) unknown: Option<String>,
    /// Why no more is heard of them, if so: what was known last holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trouble: Option<String>,
    pub(crate) services: Vec<ServiceStatus>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct ServiceStatus {
    pub(crate) service: String,
    pub(crate) group: String,
    pub(crate) paused: Vec<Paused>,
    #[serde(flatten)]
    pub(crate) lag: GroupLag,
    pub(crate) pods: Vec<PodStatus>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct PodStatus {
    pub(crate) pod: String,
    pub(crate) host: String,
    pub(crate) version: String,
    pub(crate) since: Timestamp,
    /// `there` or `silent`.
    pub(crate) presence: &'static str,
    pub(crate) heard_seconds: i64,
    /// What it holds; differs from the service's only while it has not heard.
    pub(crate) paused: Vec<String>,
    pub(crate) in_flight: u64,
    /// Nothing where something waits, and how old it is is not known.
    pub(crate) oldest_seconds: Option<f64>,
    pub(crate) partitions: BTreeMap<String, Vec<i32>>,
    /// Those that are not closed.
    pub(crate) breakers: BTreeMap<String, String>,
    pub(crate) trouble: Vec<String>,
}

impl Status {
    /// What is known of the control topic, where there is to be one, and how far the groups are, in the order of the
    /// services.
    pub(crate) fn of(
        settings: &Settings,
        services: &[Service],
        followed: Option<&Followed>,
        lags: Vec<GroupLag>,
    ) -> Self {
        let unknown = match (settings.topics.control.as_deref(), followed) {
            (Some(topic), Some(followed)) => unknown(topic, followed),
            (Some(topic), None) => Some(format!("the control topic {topic} has not been read yet")),
            (None, _) => Some("topics.control is \"off\", so no pod says how it is".to_owned()),
        };
        // What was read of it so far may lack what was said last.
        let known = followed.filter(|_| unknown.is_none());
        let told = services.iter().zip(lags).map(|(service, lag)| {
            let group = group_of(service, &settings.service(service.name()));
            ServiceStatus {
                service: service.name().to_owned(),
                paused: known.map(|known| paused_of(known, &group)).unwrap_or_default(),
                pods: known.map(|known| pods_of(known, &group)).unwrap_or_default(),
                group,
                lag,
            }
        });
        Self { services: told.collect(), trouble: known.and_then(|known| known.trouble.clone()), unknown }
    }
}

/// Why nothing is known, if so.
fn unknown(topic: &str, followed: &Followed) -> Option<String> {
    let why = match &followed.standing {
        Standing::Known => return None,
        Standing::Missing => {
            "does not exist, so nothing is paused and no pod says how it is; worker check --create makes it"
        }
        Standing::Unread => "has not been read yet",
        Standing::Unreadable(why) => &format!("cannot be read: {why}"),
    };
    Some(format!("the control topic {topic} {why}"))
}

fn pods_of(followed: &Followed, group: &str) -> Vec<PodStatus> {
    let now_ms = followed.now_ms();
    let shown = |(pod, heard): (&str, &Heard)| {
        let of_it = heard.of(group).cloned().unwrap_or_default();
        PodStatus {
            pod: pod.to_owned(),
            host: heard.report.host.clone(),
            version: heard.report.version.clone(),
            since: heard.report.started_at,
            presence: heard.presence(now_ms).word(),
            heard_seconds: (now_ms - heard.at_ms).max(0) / 1000,
            paused: of_it.paused,
            in_flight: of_it.in_flight,
            oldest_seconds: (!of_it.oldest_unknown).then_some(of_it.oldest_seconds),
            partitions: of_it.partitions,
            breakers: of_it.breakers,
            trouble: of_it.trouble,
        }
    };
    followed.view.pods(group, now_ms).map(shown).collect()
}
