//! What operators do over HTTP: `/api/v1`, for whoever brings the token.
//!
//! | file         | has                                                                |
//! |--------------|--------------------------------------------------------------------|
//! | `server`     | the listener, its limits, what belongs to every answer             |
//! | `auth`       | the token                                                          |
//! | `answer`     | answers and refusals, as JSON                                      |
//! | `body`       | the body of a request, with all that is wrong with it at once      |
//! | `replays`    | the endpoints of replays                                           |
//! | `runner`     | the replays that run in this process                               |

mod answer;
mod auth;
mod body;
mod replays;
mod runner;
mod server;

use std::sync::Arc;

use axum::{Router, middleware};
use tokio::{net::TcpListener, runtime::Handle};
use tokio_util::sync::CancellationToken;

use self::{auth::Key, runner::Replays};
use crate::{Service, config::Settings, worker::Parts};

/// The endpoints of one worker.
#[derive(Debug)]
pub(crate) struct Admin {
    replays: Arc<Replays>,
}

impl Admin {
    /// Listens, where there is an address and a token. Requests are answered on `control`, and what they begin
    /// runs its handlers on `handlers`, until `stop`.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub(crate) async fn start(
        settings: &Settings,
        services: &[Service],
        parts: &Parts,
        handlers: &Handle,
        control: &Handle,
        stop: &CancellationToken,
    ) -> Result<Option<Self>, String> {
        let Some(address) = settings.admin.listen else { return Ok(None) };
        let Some(token) = &settings.admin.token else {
            tracing::info!("the admin API is not served: there is no admin.token");
            return Ok(None);
        };
        let bound = control.spawn(TcpListener::bind(address)).await.map_err(|error| error.to_string())?;
        let listener = bound.map_err(|error| {
            format!(
                "admin.listen = \"{address}\": cannot listen there: {error}; allowed are a free address such as \"127.0.0.1:9465\", and \"off\""
            )
        })?;
        let replays = Arc::new(Replays::new(settings, services, parts, handlers, control, stop));
        tracing::info!(%address, "the admin API");
        drop(control.spawn(server::serve(listener, router(Key::of(token), &replays))));
        Ok(Some(Self { replays }))
    }

    /// Waits for the end of what was begun here. Only once its `stop` has fired.
    pub(crate) async fn finish(&self) {
        self.replays.finish().await;
    }
}

fn router(key: Key, replays: &Arc<Replays>) -> Router {
    let api = Router::new()
        .merge(replays::routes(replays))
        .fallback(answer::not_here)
        .method_not_allowed_fallback(answer::not_so)
        .layer(middleware::from_fn_with_state(key, auth::required));
    Router::new().nest("/api/v1", api).fallback(answer::not_here)
}
