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
            "it takes longer than {seconds} s; GET /api/v1/replays and /api/v1/fleet show what has come of it"
        ))
        .into_response()
    })
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::routing::get;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        time::Instant,
    };

    use super::*;

    async fn start() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new()
            .route("/fast", get(|| async { "fast" }))
            .route("/slow", get(std::future::pending::<String>))
            .route("/whence", get(|Extension(remote): Extension<Remote>| async move { remote.who() }));
        tokio::spawn(serve(listener, router));
        address
    }

    async fn say(address: SocketAddr, request: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    async fn answered(address: SocketAddr, path: &str) -> String {
        let mut answer = String::new();
        let request = format!("GET {path} HTTP/1.1\r\nhost: worker\r\n\r\n");
        say(address, &request).await.read_to_string(&mut answer).await.unwrap();
        answer
    }

    // While nothing else happens, the clock of these tests goes on to the next deadline.
    #[tokio::test(start_paused = true)]
    async fn a_client_that_never_finishes_its_headers_is_let_go() {
        let address = start().await;
        let began = Instant::now();
        let mut answer = Vec::new();
        let mut stream = say(address, "GET /fast HTTP/1.1\r\nhost").await;
        // An error would do as well as an end.
        drop(stream.read_to_end(&mut answer).await);
        assert!(began.elapsed() >= HEADERS && began.elapsed() < ANSWER, "{:?}", began.elapsed());
        assert!(!String::from_utf8_lossy(&answer).contains("200"), "{answer:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_takes_too_long_is_answered_all_the_same() {
        let answer = answered(start().await, "/slow").await;
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        assert!(answer.contains("it takes longer than 60 s"), "{answer}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_crowd_waits_until_somebody_leaves() {
        let address = start().await;
        let mut crowd = Vec::new();
        for _ in 0..CONNECTIONS {
            crowd.push(say(address, "GET /slow HTTP/1.1\r\nhost: worker\r\n\r\n").await);
        }
        let began = Instant::now();
        assert!(answered(address, "/fast").await.ends_with("fast"));
        assert!(began.elapsed() >= ANSWER, "it was served beside {CONNECTIONS} others");
    }

    #[tokio::test]
    async fn who_asks_is_known_by_the_address() {
        let answer = answered(start().await, "/whence").await;
        assert!(answer.ends_with("api@127.0.0.1"), "{answer}");
    }
}
