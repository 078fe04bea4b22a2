//! `/replays`: start, list, show and cancel them.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension,
    extract::{Path, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
    routing::get,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    answer::{Refusal, json},
    auth::Remote,
    body::Fields,
    endpoints::Endpoints,
    looks::looking,
    runner::{Answered, Begun, Replays, Wanted},
};
use crate::{
    Service,
    replay::{Entry, Mode, Order, Request as Wish, RequestedMode, Tally},
};

pub(super) fn endpoints(replays: &Arc<Replays>) -> Endpoints {
    Endpoints::default()
        .at("/replays", get(list).post(start).with_state(Arc::clone(replays)))
        .at("/replays/{id}", get(show).delete(cancel).with_state(Arc::clone(replays)))
}

/// An answer that takes longer is told where to be asked for.
const PATIENCE: Duration = Duration::from_secs(20);

/// A replay as it is answered: what is written down of it, and all its partitions together.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    entry: Entry,
    tally: Tally,
    /// What a person should know about its range.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

impl Shown {
    fn of(entry: Entry, warnings: Vec<String>) -> Self {
        Self { tally: entry.tally(), entry, warnings }
    }
}

/// The latest first, of all processes.
async fn list(State(replays): State<Arc<Replays>>) -> Result<Response, Refusal> {
    let entries = replays.all().await?;
    let shown = entries.into_values().rev().map(|entry| json!(Shown::of(entry, Vec::new())));
    let shown: Vec<Value> = replays.looks().all().into_iter().chain(shown).collect();
    Ok(json(StatusCode::OK, &json!({ "replays": shown })))
}

async fn show(State(replays): State<Arc<Replays>>, Path(id): Path<String>) -> Result<Response, Refusal> {
    if let Some(found) = replays.looks().find(&id) {
        return Ok(json(StatusCode::OK, &found));
    }
    Ok(json(StatusCode::OK, &Shown::of(entry(&replays, &id).await?, Vec::new())))
}

/// Tells it to stop; it has when its state says so.
async fn cancel(
    State(replays): State<Arc<Replays>>,
    Extension(remote): Extension<Remote>,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    if replays.looks().cancel(&id) {
        return Ok(accepted(&id, &looking(&id)));
    }
    let entry = entry(&replays, &id).await?;
    replays.cancel(&entry, remote.who()).await?;
    Ok(json(StatusCode::ACCEPTED, &Shown::of(entry, Vec::new())))
}

async fn entry(replays: &Replays, id: &str) -> Result<Entry, Refusal> {
    let found = replays.find(id).await?;
    found.ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, format!("there is no replay {id}")))
}

/// A dry run is answered with what it has found, anything else once it has begun.
async fn start(
    State(replays): State<Arc<Replays>>,
    Extension(remote): Extension<Remote>,
    request: Request,
) -> Result<Response, Refusal> {
    let patience = patience(request.headers());
    let (service, wanted) = match read(request, &replays).await? {
        Asked::Look(service, order) => {
            return Ok(match replays.survey(service, order, patience).await? {
                Answered::Now(found) => json(StatusCode::OK, &found),
                Answered::Later(id) => accepted(&id, &looking(&id)),
            });
        }
        Asked::Begin(service, order) => (service, Wanted::New(order)),
        Asked::Resume(id, wish) => {
            let mut entry = replays.resumable(&id).await?;
            wish.amend(&mut entry.order);
            entry.order.check().map_err(Refusal::bad)?;
            (replays.service(Some(&entry.order.service)).map_err(Refusal::conflict)?, Wanted::Resumed(entry))
        }
    };
    Ok(match replays.begin(service, wanted, remote.who(), patience).await? {
        Answered::Now(Begun { entry, warnings }) => accepted(&entry.id.clone(), &Shown::of(entry, warnings)),
        Answered::Later(id) => accepted(&id, &looking(&id)),
    })
}

/// How long the answer may take. Whoever prefers not to wait says so as RFC 7240 has it.
fn patience(headers: &HeaderMap) -> Duration {
    let prefers = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    let mut prefers = prefers.flat_map(|value| value.split(','));
    let is_async = prefers.any(|preference| preference.trim().eq_ignore_ascii_case("respond-async"));
    if is_async { Duration::ZERO } else { PATIENCE }
}

/// It goes on, and this is where to ask for it.
fn accepted(id: &str, body: &impl Serialize) -> Response {
    let mut response = json(StatusCode::ACCEPTED, body);
    if let Ok(place) = HeaderValue::try_from(format!("/api/v1/replays/{id}")) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    response
}

/// An end of the range, as on the command line; an offset may also be a number.
fn bound(fields: &mut Fields, name: &'static str) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Bound {
        Text(String),
        Offset(u64),
    }
    fields.take(name, "a text or an offset").map(|bound| match bound {
        Bound::Text(text) => text,
        Bound::Offset(offset) => offset.to_string(),
    })
}

/// What a request asks for.
enum Asked<'a> {
    Look(&'a Service, Order),
    Begin(&'a Service, Order),
    Resume(String, Wish),
}

async fn read(request: Request, replays: &Replays) -> Result<Asked<'_>, Refusal> {
    let mut fields = Fields::read(request).await?;
    let text = "a text";
    let flag = "true or false";
    let service: Option<String> = fields.take("service", text);
    let topics: Vec<String> = fields.take("topics", "a list of names").unwrap_or_default();
    let positive = "an integer of 1 and more";
    let mut wish = Wish {
        from: bound(&mut fields, "from"),
        to: bound(&mut fields, "to"),
        partitions: fields.take("partitions", "a text such as \"0,3,5-7\""),
        mode: RequestedMode::default(),
        epoch: fields.take("epoch", text),
        new_keys: fields.take("new_keys", flag).unwrap_or_default(),
        rate: fields.take("rate", positive),
        max: fields.take("max", positive),
        allow_unknown: fields.take("allow_unknown", flag).unwrap_or_default(),
        in_order: fields.take("in_order", flag).unwrap_or_default(),
    };
    match fields.take("mode", "\"skip-done\", \"verify\" or \"force\"") {
        Some(mode) => wish.mode = mode,
        // What belongs to a mode is no mistake where it is the mode that is misspelt.
        None if fields.is_wrong("mode") && wish.epoch.is_some() => wish.mode = RequestedMode::Force,
        None => {}
    }
    let dry_run: bool = fields.take("dry_run", flag).unwrap_or_default();
    let resume: Option<String> = fields.take("resume", text);
    // What cannot be read is not missing as well.
    let told: Vec<String> = ["from", "to"]
        .into_iter()
        .filter(|name| fields.is_wrong(name))
        .map(|name| format!("--{name} `` "))
        .collect();
    let mut problems = fields.finish();
    if let Some(id) = resume {
        let again =
            Wish { rate: wish.rate, max: wish.max, allow_unknown: wish.allow_unknown, ..Wish::default() };
        if wish != again || dry_run || service.is_some() || !topics.is_empty() {
            problems.push(
                "--resume goes on as it was ordered; it takes --rate, --max and --allow-unknown alone"
                    .to_owned(),
            );
        }
        return if problems.is_empty() { Ok(Asked::Resume(id, wish)) } else { Err(Refusal::bad(problems)) };
    }
    let service = replays.service(service.as_deref()).map_err(|problem| problems.push(problem)).ok();
    if wish.max == Some(0) {
        problems.push("--max 0 is not allowed; allowed are 1 and more".to_owned());
    }
    let order = wish.order(service.map_or("", Service::name), &topics, Timestamp::now());
    let is_new = |problem: &String| !told.iter().any(|told| problem.starts_with(told));
    let order = order.map_err(|more| problems.extend(more.into_iter().filter(is_new))).ok();
    match (service, order) {
        (Some(service), Some(order)) if problems.is_empty() => {
            let looks = dry_run || order.mode == Mode::Verify;
            Ok(if looks { Asked::Look(service, order) } else { Asked::Begin(service, order) })
        }
        _ => Err(Refusal::bad(problems)),
    }
}
