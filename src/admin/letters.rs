//! `/dead-letters/{service}`: what could not be handled, counted, listed, sent again or put aside.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use axum::{
    Extension,
    extract::{Path, Request, State},
    http::StatusCode,
    response::Response,
    routing::{get, post},
};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::{runtime::Handle, time::timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    acting::to_its_end,
    answer::{Refusal, json as answered},
    auth::Remote,
    body::Fields,
    endpoints::Endpoints,
};
use crate::{
    Service,
    audit::Audit,
    config::Settings,
    kafka::KafkaClient,
    letters::{
        self, Act, Desk, Drawer, Filter, Found, LettersError, Place, Report, Search, Wanted, Wish, drawers,
    },
};

/// An act ends after that, as if interrupted; the same request goes on with what is left.
const PATIENCE: Duration = Duration::from_secs(20);
/// Letters in one answer, at most.
const MOST: usize = 500;
/// Letters in one answer where nobody says how many.
const USUAL: usize = 50;

/// What the endpoints need of their worker.
#[derive(Debug)]
pub(super) struct Letters {
    settings: Settings,
    services: Vec<Service>,
    client: KafkaClient,
    stop: CancellationToken,
}

impl Letters {
    pub(super) fn new(stage: &super::Stage, stop: &CancellationToken) -> Arc<Self> {
        let (settings, services) = (stage.settings.clone(), stage.services.clone());
        Arc::new(Self { settings, services, client: stage.parts.kafka.clone(), stop: stop.clone() })
    }

    /// The letters of a service, of these topics or all.
    fn drawers(&self, service: &str, topics: Vec<String>) -> Result<Vec<Drawer>, Refusal> {
        let found = self.services.iter().find(|known| known.name() == service);
        let found = found.ok_or_else(|| Refusal::no_service(service))?;
        drawers(&self.settings, found, &Wanted { topics, foreign: None }).map_err(Refusal::bad)
    }

    /// Whoever goes away ends what was asked for.
    fn desk(&self) -> (Desk, DropGuard) {
        let cancel = self.stop.child_token();
        let (client, topics) = (self.client.clone(), self.settings.topics.clone());
        (Desk { client, topics, runtime: Handle::current(), cancel: cancel.clone() }, cancel.drop_guard())
    }

    async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Desk) -> Result<T, LettersError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let (desk, _ends) = self.desk();
        let looked = timeout(PATIENCE, tokio::task::spawn_blocking(move || look(&desk))).await;
        match looked {
            Ok(looked) => Ok(looked.unwrap_or(Err(LettersError::Interrupted))?),
            Err(_) => Err(Refusal::not_now(
                "there are too many letters to read them within 20 s; `worker dead-letters` may take longer",
            )),
        }
    }

    /// What takes too long is interrupted, in order.
    async fn carry_out(
        &self,
        drawers: Vec<Drawer>,
        act: Act,
        wish: Wish,
        who: String,
    ) -> Result<Report, Refusal> {
        let audit = Audit::open(&self.settings).await?.by(who);
        let (desk, _ends) = self.desk();
        let cancel = desk.cancel.clone();
        let work = letters::carry_out(&audit, (desk, drawers), act, wish, None, |_| {});
        tokio::pin!(work);
        let report = match timeout(PATIENCE, &mut work).await {
            Ok(report) => report,
            Err(_) => {
                cancel.cancel();
                work.await
            }
        };
        Ok(report?)
    }
}

pub(super) fn endpoints(letters: &Arc<Letters>) -> Endpoints {
    let state = || Arc::clone(letters);
    Endpoints::default()
        .at("/dead-letters/{service}", get(status).with_state(state()))
        .at("/dead-letters/{service}/groups", get(groups).with_state(state()))
        .at("/dead-letters/{service}/list", post(list).with_state(state()))
        .at("/dead-letters/{service}/redrive", post(redrive).with_state(state()))
        .at("/dead-letters/{service}/discard", post(discard).with_state(state()))
}

async fn status(
    State(letters): State<Arc<Letters>>,
    Path(service): Path<String>,
) -> Result<Response, Refusal> {
    let drawers = letters.drawers(&service, Vec::new())?;
    let standing = letters.look(move |desk| letters::standing(desk, &drawers)).await?;
    Ok(answered(
        StatusCode::OK,
        &json!({ "topics": standing.iter().map(|one| one.json()).collect::<Vec<_>>() }),
    ))
}

/// Of the open letters alone: the others wait for nobody.
async fn groups(
    State(letters): State<Arc<Letters>>,
    Path(service): Path<String>,
) -> Result<Response, Refusal> {
    let drawers = letters.drawers(&service, Vec::new())?;
    let search = Search { state: Some(letters::State::Open), ..Search::default() };
    let groups = letters.look(move |desk| search.groups(desk, &drawers)).await?;
    Ok(answered(StatusCode::OK, &json!({ "groups": groups.sorted() })))
}

async fn list(
    State(letters): State<Arc<Letters>>,
    Path(service): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let mut fields = Fields::read(request).await?;
    let chosen = Chosen::take(&mut fields);
    let states = "\"open\", \"redriven\", \"discarded\" or \"parked\"";
    let state: Option<letters::State> = fields.take("state", states);
    let payload: bool = fields.take("payload", "true or false").unwrap_or_default();
    let Asked { filter, places, topics, max } = chosen.finish(fields)?;
    let drawers = letters.drawers(&service, topics)?;
    let most = max.map_or(USUAL, |max| usize::try_from(max).unwrap_or(MOST).min(MOST));
    let search = Search { filter, places, state };
    let (found, more) = letters.look(move |desk| search.list(desk, &drawers, most, payload)).await?;
    let shown: Vec<Value> = found.iter().map(|found: &Found| found.whole(payload)).collect();
    Ok(answered(StatusCode::OK, &json!({ "letters": shown, "more": more })))
}

async fn redrive(
    State(letters): State<Arc<Letters>>,
    Extension(remote): Extension<Remote>,
    Path(service): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    deal(letters, Act::Redrive, remote, &service, request).await
}

async fn discard(
    State(letters): State<Arc<Letters>>,
    Extension(remote): Extension<Remote>,
    Path(service): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    deal(letters, Act::Discard, remote, &service, request).await
}

async fn deal(
    letters: Arc<Letters>,
    act: Act,
    remote: Remote,
    service: &str,
    request: Request,
) -> Result<Response, Refusal> {
    let mut fields = Fields::read(request).await?;
    let mut chosen = Chosen::take(&mut fields);
    let all: bool = fields.take("all", "true or false").unwrap_or_default();
    let dry_run: bool = fields.take("dry_run", "true or false").unwrap_or_default();
    let (mut cap, mut rate) = (None, None);
    if act == Act::Redrive {
        cap = fields.take("cap", "an integer of 0 and more");
        rate = fields.take("rate", "an integer of 1 and more");
    }
    if chosen.is_of_all() != all {
        chosen.problems.push("say which letters: \"filter\" or \"one\", or else \"all\": true".to_owned());
    }
    let has_places = chosen.one.as_ref().is_some_and(|one| !one.is_empty());
    let Asked { filter, places, topics, max } = chosen.finish(fields)?;
    let drawers = letters.drawers(service, topics)?;
    if has_places && drawers.len() > 1 {
        return Err(Refusal::bad(vec!["one: say with \"topics\" in which topic".to_owned()]));
    }
    let cap = cap.unwrap_or(letters.settings.dead_letter.max_redrives);
    let rate = rate.filter(|rate: &u32| *rate > 0);
    let wish = Wish { filter, places, max, rate, cap, edit: None };
    if dry_run {
        let would = letters.look(move |desk| Ok(letters::rehearse(desk, &drawers, act, &wish))).await?;
        return Ok(answered(StatusCode::OK, &would.json()));
    }
    let acted = async move { letters.carry_out(drawers, act, wish, remote.who()).await };
    Ok(answered(StatusCode::OK, &to_its_end(acted).await?.json()))
}

/// Which letters a request is about.
struct Chosen {
    filter: Option<Vec<String>>,
    one: Option<Vec<String>>,
    topics: Vec<String>,
    max: Option<u64>,
    problems: Vec<String>,
}

/// The same, understood.
struct Asked {
    filter: Filter,
    places: BTreeSet<Place>,
    topics: Vec<String>,
    max: Option<u64>,
}

impl Chosen {
    fn take(fields: &mut Fields) -> Self {
        Self {
            filter: fields.take("filter", "a list of conditions"),
            one: fields.take("one", "a list of places such as \"3:42\""),
            topics: fields.take("topics", "a list of names").unwrap_or_default(),
            max: fields.take("max", "an integer of 1 and more"),
            problems: Vec::new(),
        }
    }

    fn is_of_all(&self) -> bool {
        let is_empty = |list: &Option<Vec<String>>| list.as_ref().is_none_or(Vec::is_empty);
        is_empty(&self.filter) && is_empty(&self.one)
    }

    /// All that is wrong comes at once.
    fn finish(self, fields: Fields) -> Result<Asked, Refusal> {
        let mut problems = [fields.finish(), self.problems].concat();
        if self.max == Some(0) {
            problems.push("max: 0 is not allowed; allowed is an integer of 1 and more".to_owned());
        }
        let filter = Filter::parse(&self.filter.unwrap_or_default(), Timestamp::now());
        let filter = filter
            .map_err(|wrong| problems.extend(wrong.iter().map(|wrong| format!("filter: {wrong}"))))
            .unwrap_or_default();
        let place =
            |text: &String| text.parse().map_err(|why| problems.push(format!("one: {text:?}: {why}"))).ok();
        let places = self.one.unwrap_or_default().iter().filter_map(place).collect();
        if problems.is_empty() {
            Ok(Asked { filter, places, topics: self.topics, max: self.max })
        } else {
            Err(Refusal::bad(problems))
        }
    }
}

impl From<LettersError> for Refusal {
    fn from(error: LettersError) -> Self {
        match error {
            LettersError::Order(problem) => Self::conflict(problem),
            error => Self::not_now(error.to_string()),
        }
    }
}
