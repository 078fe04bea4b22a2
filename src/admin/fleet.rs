//! `/fleet`, `/pause` and `/resume`: all pods of the services of this process, told and asked as by the command line.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Extension,
    extract::{Request, State},
    http::StatusCode,
    response::Response,
    routing::{get, post},
};
use tokio::sync::Mutex;

use super::{
    Stage,
    acting::to_its_end,
    answer::{Refusal, json},
    auth::Remote,
    body::Fields,
    endpoints::Endpoints,
};
use crate::{
    Service,
    audit::Audit,
    config::Settings,
    fleet::{Acted, Fleet, GroupLag, NotDone, Order, Paused, Seat, Status, Wish},
    kafka::KafkaClient,
};

/// How long the pods may take where nobody says how long, and at most: a request has a minute in all.
const USUAL: Duration = Duration::from_secs(30);
const LONGEST: Duration = Duration::from_secs(40);
/// However many people look, the brokers are asked no more often.
const FRESH: Duration = Duration::from_secs(4);

/// The fleets of the services of this process.
#[derive(Debug)]
pub(super) struct Fleets {
    settings: Settings,
    services: Vec<Service>,
    kafka: KafkaClient,
    seat: Seat,
    lags: Mutex<Option<Lags>>,
}

/// How far the groups were at some moment.
type Lags = (Instant, Vec<GroupLag>);

/// What somebody orders.
enum Asked {
    Pause(Order, Option<String>),
    Resume(Order),
}

impl Fleets {
    pub(super) fn new(stage: &Stage) -> Arc<Self> {
        Arc::new(Self {
            settings: stage.settings.clone(),
            services: stage.services.clone(),
            kafka: stage.parts.kafka.clone(),
            seat: stage.seat.clone(),
            lags: Mutex::default(),
        })
    }

    async fn lags(&self) -> Vec<GroupLag> {
        let mut known = self.lags.lock().await;
        if let Some((at, lags)) = &*known
            && at.elapsed() < FRESH
        {
            return lags.clone();
        }
        let lags = GroupLag::of_all(&self.settings, &self.services, &self.kafka).await;
        *known = Some((Instant::now(), lags.clone()));
        lags
    }

    async fn carry_out(&self, asked: &Asked, wait: Duration, who: String) -> Result<Acted, Refusal> {
        let fleet = Fleet::open(&self.settings, |_, _| self.seat.follower()).await?;
        let audit = Audit::open(&self.settings).await?.by(who);
        let acted: Result<Acted, NotDone> = match asked {
            Asked::Pause(order, reason) => fleet.pause(&audit, order, reason.as_deref(), wait).await,
            Asked::Resume(order) => fleet.resume(&audit, order, wait).await,
        };
        let acted = acted?;
        if acted.is_about_something_else() {
            let paused = |one: &Paused| format!("{} {}", one.scope, one.pause.text());
            let paused = acted.paused.iter().map(paused).collect::<Vec<_>>().join("; ");
            let service = &acted.service;
            return Err(Refusal::conflict(format!(
                "that is not paused; of {service} this is, and goes on with \"all\": true: {paused}"
            )));
        }
        Ok(acted)
    }
}

pub(super) fn endpoints(fleets: &Arc<Fleets>) -> Endpoints {
    let state = || Arc::clone(fleets);
    Endpoints::default()
        .at("/fleet", get(status).with_state(state()))
        .at("/pause", post(pause).with_state(state()))
        .at("/resume", post(resume).with_state(state()))
}

async fn status(State(fleets): State<Arc<Fleets>>) -> Response {
    let lags = fleets.lags().await;
    let follower = fleets.seat.follower();
    let followed = follower.map(|follower| follower.followed().clone());
    let status = Status::of(&fleets.settings, &fleets.services, followed.as_ref(), lags);
    json(StatusCode::OK, &status)
}

async fn pause(
    State(fleets): State<Arc<Fleets>>,
    Extension(remote): Extension<Remote>,
    request: Request,
) -> Result<Response, Refusal> {
    let mut fields = Fields::read(request).await?;
    let reason: Option<String> = fields.take("reason", "a text");
    let (order, wait) = order(&fleets, fields, false)?;
    act(fleets, Asked::Pause(order, reason), wait, remote).await
}

async fn resume(
    State(fleets): State<Arc<Fleets>>,
    Extension(remote): Extension<Remote>,
    request: Request,
) -> Result<Response, Refusal> {
    let mut fields = Fields::read(request).await?;
    let all: bool = fields.take("all", "true or false").unwrap_or_default();
    let (order, wait) = order(&fleets, fields, all)?;
    act(fleets, Asked::Resume(order), wait, remote).await
}

async fn act(fleets: Arc<Fleets>, asked: Asked, wait: Duration, remote: Remote) -> Result<Response, Refusal> {
    let acted = to_its_end(async move { fleets.carry_out(&asked, wait, remote.who()).await }).await?;
    Ok(json(StatusCode::OK, &acted))
}

/// What is meant, and how long the pods may take. All that is wrong comes at once.
fn order(fleets: &Fleets, mut fields: Fields, all: bool) -> Result<(Order, Duration), Refusal> {
    let text = "a text";
    let service: Option<String> = fields.take("service", text);
    let topic: Option<String> = fields.take("topic", text);
    let handler: Option<String> = fields.take("handler", text);
    let wait: Option<String> = fields.take("wait", "a time such as \"30s\"");
    let is_told = fields.is_wrong("service");
    let mut problems = fields.finish();
    let wait = wait.map_or(Ok(USUAL), |wait| {
        let parsed = humantime::parse_duration(&wait).ok().filter(|wait| *wait <= LONGEST);
        let most = LONGEST.as_secs();
        parsed.ok_or_else(|| {
            format!("wait: {wait:?} is not allowed; allowed is a time such as \"30s\", at most {most}s")
        })
    });
    let wait = wait.map_err(|problem| problems.push(problem)).ok();
    let order = match &service {
        Some(service) => {
            let (topic, handler) = (topic.as_deref(), handler.as_deref());
            let order = Order::of(&fleets.settings, &fleets.services, Wish { service, topic, handler, all });
            order.map_err(|more| problems.extend(more)).ok()
        }
        None => {
            let names = fleets.services.iter().map(Service::name).collect::<Vec<_>>().join(", ");
            if !is_told {
                problems.push(format!("service: say which; there are {names}"));
            }
            None
        }
    };
    match (order, wait) {
        (Some(order), Some(wait)) if problems.is_empty() => Ok((order, wait)),
        _ => Err(Refusal::bad(problems)),
    }
}
