//! The listener, and what no client may do to it: wait for ever, send without end, come in crowds.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    extract::Request,
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::timeout,
};

use super::{answer::Refusal, auth::Remote};

/// Served at the same time; others wait to be accepted.
const CONNECTIONS: usize = 64;
/// A client may take this long to send its headers.
const HEADERS: Duration = Duration::from_secs(10);
/// A request that takes longer is answered without its outcome.
const ANSWER: Duration = Duration::from_secs(60);
/// A client may take this much longer to take its answer.
const LINGER: Duration = Duration::from_secs(20);
/// After a connection that could not be accepted, such as for want of descriptors.
const AGAIN: Duration = Duration::from_millis(100);

/// Answers for as long as it is polled.
pub(super) async fn serve(listener: TcpListener, router: Router) {
    let router = router.layer(middleware::from_fn(in_time));
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, remote)) => {
                let router = router.clone().layer(Extension(Remote(remote.ip())));
                tokio::spawn(async move {
                    answer(stream, router).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::debug!(%error, "a connection to the admin API");
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
}

/// One request, for each has a connection of its own.
async fn answer(stream: TcpStream, router: Router) {
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEADERS).keep_alive(false);
    let served = server.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    // Whatever goes wrong with it is the client's to see.
    drop(timeout(HEADERS + ANSWER + LINGER, served).await);
}

async fn in_time(request: Request, next: Next) -> Response {
    timeout(ANSWER, next.run(request)).await.unwrap_or_else(|_| {
        let seconds = ANSWER.as_secs();
        Refusal::not_now(format!(
            "it takes longer than {seconds} s; GET /api/v1/replays shows what has begun"
        ))
        .into_response()
    })
}
