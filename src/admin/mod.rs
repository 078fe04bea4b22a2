//! What operators do over HTTP: `/api/v1`, for whoever brings the token, and the console at `/`, which brings it.
//!
//! Another kind of thing to do is one more module with `endpoints`, one more line in `Desk`, and its part of
//! `openapi.json`.
//!
//! | file         | has                                                                |
//! |--------------|--------------------------------------------------------------------|
//! | `server`     | the listener, its limits, what belongs to every answer             |
//! | `auth`       | the token                                                          |
//! | `acting`     | acts that outlive their requests                                   |
//! | `answer`     | answers and refusals, as JSON                                      |
//! | `body`       | the body of a request, with all that is wrong with it at once      |
//! | `endpoints`  | endpoints with their paths                                         |
//! | `overview`   | how this process is, what waits and why                            |
//! | `page`       | the console                                                        |
//! | `fleet`      | the endpoints of all pods: how they are, pause, resume             |
//! | `letters`    | the endpoints of dead letters                                      |
//! | `replays`    | the endpoints of replays                                           |
//! | `looks`      | what takes longer than a request may                               |
//! | `runner`     | the replays that run in this process                               |
//! | `carrying`   | one of them, from its order to its end                             |

mod acting;
mod answer;
mod auth;
mod body;
mod carrying;
#[cfg(test)]
mod described;
mod endpoints;
mod fleet;
mod letters;
mod looks;
mod overview;
mod page;
mod replays;
mod runner;
mod server;

use std::sync::Arc;

use axum::{
    Router,
    http::{HeaderValue, header},
    middleware,
    response::Response,
};
use tokio::{net::TcpListener, runtime::Handle};
use tokio_util::sync::CancellationToken;

use self::{
    auth::Key, endpoints::Endpoints, fleet::Fleets, letters::Letters, overview::Watched, runner::Replays,
};
use crate::{
    Service,
    config::{AdminSettings, Settings},
    fleet::Seat,
    kafka::Ended,
    pipeline::Crowd,
    worker::{Board, Parts},
};

/// The worker whose endpoints these are.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) settings: Settings,
    pub(crate) services: Vec<Service>,
    pub(crate) parts: Parts,
    /// Where handlers run.
    pub(crate) handlers: Handle,
    /// Where requests are answered and claims are renewed.
    pub(crate) control: Handle,
    /// All that runs in this process.
    pub(crate) crowd: Crowd,
    /// Where the partitions of the services can be seen.
    pub(crate) board: Board,
    /// Where it is known what the fleet is told.
    pub(crate) seat: Seat,
}

/// What the endpoints of one worker are about.
struct Desk {
    watched: Arc<Watched>,
    fleets: Arc<Fleets>,
    letters: Arc<Letters>,
    replays: Arc<Replays>,
}

/// The endpoints of one worker.
#[derive(Debug)]
pub(crate) struct Admin {
    replays: Arc<Replays>,
}

impl Admin {
    /// Listens, where there is an address and a token. What is begun ends with `stop`.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub(crate) async fn start(stage: Stage, stop: &CancellationToken) -> Result<Option<Self>, String> {
        let AdminSettings { listen: Some(address), token } = stage.settings.admin.clone() else {
            return Ok(None);
        };
        let Some(token) = token else {
            tracing::info!("the admin API is not served: there is no admin.token");
            return Ok(None);
        };
        let control = stage.control.clone();
        let bound = control.spawn(TcpListener::bind(address)).await.map_err(|error| error.to_string())?;
        let listener = bound.map_err(|error| {
            format!(
                "admin.listen = \"{address}\": cannot listen there: {error}; allowed are a free address such as \"127.0.0.1:9465\", and \"off\""
            )
        })?;
        let desk = Desk::new(stage, stop);
        drop(control.spawn(overview::sample(Arc::clone(&desk.watched))));
        tracing::info!(%address, "the admin API and the console");
        drop(control.spawn(server::serve(listener, router(Key::of(&token), desk.api()))));
        Ok(Some(Self { replays: desk.replays }))
    }

    /// Waits for the end of what was begun here, and says whether something was cut off. Only once its `stop` has fired.
    pub(crate) async fn finish(&self) -> Ended {
        self.replays.finish().await
    }
}

impl Desk {
    fn new(stage: Stage, stop: &CancellationToken) -> Self {
        Self {
            watched: Watched::new(&stage),
            fleets: Fleets::new(&stage),
            letters: Letters::new(&stage, stop),
            replays: Arc::new(Replays::new(stage, stop)),
        }
    }

    /// Everything below `/api/v1`.
    fn api(&self) -> Endpoints {
        overview::endpoints(&self.watched)
            .and(fleet::endpoints(&self.fleets))
            .and(letters::endpoints(&self.letters))
            .and(replays::endpoints(&self.replays))
    }
}

fn router(key: Key, api: Endpoints) -> Router {
    let api = api
        .into_router()
        .fallback(answer::not_here)
        .method_not_allowed_fallback(answer::not_so)
        .layer(middleware::from_fn_with_state(key, auth::required));
    Router::new()
        .merge(page::routes())
        .nest("/api/v1", api)
        .fallback(answer::not_here)
        .layer(middleware::map_response(as_it_is))
}

/// No browser is to guess what an answer is.
async fn as_it_is(mut response: Response) -> Response {
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
