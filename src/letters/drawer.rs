//! The letters of one topic: what everything about them is called, and where they may go.

use std::collections::{BTreeMap, BTreeSet};

use super::Format;
use crate::{
    Service,
    config::{Settings, is_topic},
    pipeline::dead_letter::dead_letter_topic,
    worker::group_of,
};

/// A topic with letters that belong to one group.
#[derive(Debug, Clone)]
pub(crate) struct Drawer {
    /// The topic that they lie in.
    pub(crate) letters: String,
    /// What has become of them.
    pub(crate) marks: String,
    pub(crate) group: String,
    /// Whose headers they have, where that is known.
    pub(super) format: Option<Format>,
    /// Where each of them came from, where that is the same for all.
    pub(super) source: Option<String>,
    /// Given by the operator, for letters that name none.
    pub(super) handler: Option<String>,
    /// Given by the operator, for letters that name another topic, or none.
    pub(super) to: Option<String>,
    /// What the service consumes: nothing is sent elsewhere, whatever a letter says. Physical names, and the handlers of
    /// each.
    pub(super) targets: BTreeMap<String, BTreeSet<String>>,
}

/// Letters that were not written by the service's own workers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Foreign {
    /// The topic that they lie in.
    pub(crate) topic: String,
    pub(crate) format: Option<Format>,
    pub(crate) handler: Option<String>,
    /// The logical or physical name of a topic of the service.
    pub(crate) to: Option<String>,
}

/// Which letters of a service are wanted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    /// The logical or physical names of its topics; all of them where there is none.
    pub(crate) topics: Vec<String>,
    pub(crate) foreign: Option<Foreign>,
}

/// The topic of letters that were redriven too often.
pub(crate) fn parking_topic(topic: &str, group: &str) -> String {
    format!("{topic}.{group}.parking")
}

/// What has become of the letters of a topic stands beside them. Ours name their group already.
fn marks_topic(letters: &str, group: &str) -> String {
    let is_ours = ["dlt", "parking"].iter().any(|kind| letters.ends_with(&format!(".{group}.{kind}")));
    if is_ours { format!("{letters}.status") } else { format!("{letters}.{group}.status") }
}

/// The drawers of a service that are wanted.
///
/// # Errors
/// All that is wrong at once, with what is allowed.
pub(crate) fn drawers(
    settings: &Settings,
    service: &Service,
    wanted: &Wanted,
) -> Result<Vec<Drawer>, Vec<String>> {
    let group = group_of(service, &settings.service(service.name()));
    let mut targets: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (topic, handler) in service.table().iter() {
        let handlers = targets.entry(settings.topics.physical(topic).to_owned()).or_default();
        handlers.insert(handler.name().to_owned());
    }
    let mut problems = Vec::new();
    let known = service.table().topics().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(", ");
    let mut physical = |flag: &str, name: &String| {
        let found = service.table().topics().find_map(|logical| {
            let physical = settings.topics.physical(logical);
            (logical == name || physical == name).then(|| physical.to_owned())
        });
        if found.is_none() {
            problems.push(format!("{flag} {name}: service {} consumes {known}", service.name()));
        }
        found
    };
    let chosen: Vec<String> = wanted.topics.iter().filter_map(|name| physical("--topic", name)).collect();
    let to = wanted.foreign.as_ref().and_then(|foreign| physical("--to", foreign.to.as_ref()?));
    let drawer = |letters: String| Drawer {
        marks: marks_topic(&letters, &group),
        letters,
        group: group.clone(),
        format: Some(Format::Oncewise),
        source: None,
        handler: None,
        to: None,
        targets: targets.clone(),
    };
    let Some(foreign) = &wanted.foreign else {
        let sources = if wanted.topics.is_empty() { targets.keys().cloned().collect() } else { chosen };
        let of = |source: String| Drawer {
            source: Some(source.clone()),
            ..drawer(dead_letter_topic(&source, &group))
        };
        return if problems.is_empty() { Ok(sources.into_iter().map(of).collect()) } else { Err(problems) };
    };
    if !wanted.topics.is_empty() {
        problems.push(
            "--topic does not go with --from-topic: --to names the topic that letters are sent to".to_owned(),
        );
    }
    if !is_topic(&foreign.topic) {
        problems.push(format!("--from-topic {:?}: allowed are A-Z, a-z, 0-9, _, - and .", foreign.topic));
    }
    let handlers: BTreeSet<&String> = targets.values().flatten().collect();
    if let Some(handler) = foreign.handler.as_ref().filter(|handler| !handlers.contains(handler)) {
        let names: Vec<&str> = handlers.iter().map(|name| name.as_str()).collect();
        problems
            .push(format!("--handler {handler}: there is no such handler; there are {}", names.join(", ")));
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let Foreign { topic, format, handler, .. } = foreign.clone();
    Ok(vec![Drawer { format, handler, to, ..drawer(topic) }])
}
