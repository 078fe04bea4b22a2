//! The HTTP side: `/metrics` and the probes. It answers on loopback unless told otherwise and changes nothing.

use std::future::{Future, IntoFuture};
use std::io;
use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::health::Health;
use super::metrics::Metrics;
use super::probes::Answer;

/// What a client that keeps its connection open may delay the end.
const LINGER: Duration = Duration::from_secs(1);
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
const PATHS: &str = "nothing is here; there are /metrics, /livez, /readyz and /startupz\n";

/// The address of `http.listen` cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error(
    "http.listen = {address:?}: cannot listen there: {source}; allowed is a free address such as \"127.0.0.1:9464\""
)]
pub struct BindError {
    address: String,
    source: io::Error,
}

/// Listens on `address`, the value of `http.listen`: a host and a port, port 0 for any free one.
///
/// # Errors
/// When the address does not exist on this machine, is in use or is not an address.
pub async fn bind(address: &str) -> Result<TcpListener, BindError> {
    TcpListener::bind(address).await.map_err(|source| BindError { address: address.to_owned(), source })
}

/// Answers requests until `shutdown` resolves, then finishes those under way, for at most a second. To be shut down
/// last, so that the probes can be asked during a drain.
///
/// # Errors
/// When the listener itself fails.
pub async fn serve(
    listener: TcpListener,
    metrics: Metrics,
    health: Health,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let stop = CancellationToken::new();
    let server = axum::serve(listener, router(metrics, health));
    let server = server.with_graceful_shutdown(stop.clone().cancelled_owned()).into_future();
    tokio::pin!(server);
    tokio::select! {
        ended = &mut server => return ended,
        () = shutdown => stop.cancel(),
    }
    timeout(LINGER, server).await.unwrap_or(Ok(()))
}

fn router(metrics: Metrics, health: Health) -> Router {
    let probe = |answer: fn(&Health) -> Answer| {
        let health = health.clone();
        get(move || async move { respond(answer(&health)) })
    };
    let state = health.clone();
    Router::new()
        .route("/metrics", get(move || async move { render(&metrics, &state) }))
        .route("/livez", probe(|health| health.snapshot().livez()))
        .route("/readyz", probe(|health| health.snapshot().readyz()))
        .route("/startupz", probe(|health| health.snapshot().startupz()))
        .fallback(|| async { (StatusCode::NOT_FOUND, PATHS) })
}

fn render(metrics: &Metrics, health: &Health) -> Response {
    metrics.state(&health.snapshot());
    match metrics.render() {
        Ok(text) => ([(header::CONTENT_TYPE, METRICS_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

fn respond(answer: Answer) -> Response {
    let status = if answer.is_ok() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, answer.to_string()).into_response()
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::sync::oneshot;
    use tokio::task::JoinHandle;

    use super::*;

    struct Server {
        address: SocketAddr,
        health: Health,
        stop: oneshot::Sender<()>,
        ended: JoinHandle<io::Result<()>>,
    }

    async fn start() -> Server {
        let listener = bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let health = Health::default();
        let serving = serve(listener, Metrics::new(), health.clone(), async { stopped.await.unwrap() });
        Server { address, health, stop, ended: tokio::spawn(serving) }
    }

    impl Server {
        async fn request(&self, method: &str, path: &str) -> String {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            let request = format!("{method} {path} HTTP/1.1\r\nhost: worker\r\nconnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut response = String::new();
            stream.read_to_string(&mut response).await.unwrap();
            response
        }

        async fn get(&self, path: &str) -> String {
            self.request("GET", path).await
        }
    }

    #[tokio::test]
    async fn metrics_are_served_in_the_text_format() {
        let response = start().await.get("/metrics").await;
        assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
        assert!(
            response.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"),
            "{response}"
        );
        assert!(response.contains("\noncewise_build_info{version="), "{response}");
    }

    #[tokio::test]
    async fn probes_follow_the_state() {
        let server = start().await;
        let payments = server.health.service("payments");
        for path in ["/readyz", "/startupz"] {
            let response = server.get(path).await;
            assert!(response.starts_with("HTTP/1.1 503 "), "{path}: {response}");
            assert!(response.contains("\r\n\r\npayments: "), "{path}: {response}");
        }

        payments.tick();
        payments.joined(true);
        for path in ["/livez", "/readyz", "/startupz"] {
            let response = server.get(path).await;
            assert!(response.starts_with("HTTP/1.1 200 "), "{path}: {response}");
            assert!(response.ends_with("\r\n\r\nok\n"), "{path}: {response}");
        }

        let response = server.get("/metrics").await;
        assert!(response.contains("\noncewise_ready{service=\"payments\"} 1\n"), "{response}");

        payments.store_down("connection refused");
        let response = server.get("/metrics").await;
        for gauge in ["ready", "store_up"] {
            let line = format!("\noncewise_{gauge}{{service=\"payments\"}} 0\n");
            assert!(response.contains(&line), "{gauge}: {response}");
        }
        assert!(server.get("/livez").await.starts_with("HTTP/1.1 200 "));
        let response = server.get("/readyz").await;
        assert!(response.starts_with("HTTP/1.1 503 "), "{response}");
        assert!(
            response.ends_with("payments: the dedupe store cannot be used: connection refused\n"),
            "{response}"
        );
    }

    #[tokio::test]
    async fn other_paths_are_told_what_there_is_and_other_methods_are_refused() {
        let server = start().await;
        for path in ["/", "/metrics/", "/config"] {
            let response = server.get(path).await;
            assert!(response.starts_with("HTTP/1.1 404 "), "{path}: {response}");
            for known in ["/metrics", "/livez", "/readyz", "/startupz"] {
                assert!(response.contains(known), "{path}: {response}");
            }
        }
        assert!(server.request("POST", "/readyz").await.starts_with("HTTP/1.1 405 "));
    }

    #[tokio::test]
    async fn a_bind_error_names_the_key_and_the_address() {
        let taken = bind("127.0.0.1:0").await.unwrap();
        let address = taken.local_addr().unwrap().to_string();
        for wrong in [address.as_str(), "127.0.0.1:port", "9464"] {
            let error = bind(wrong).await.unwrap_err().to_string();
            assert!(error.starts_with(&format!("http.listen = {wrong:?}: ")), "{error}");
        }
    }

    #[tokio::test]
    async fn a_client_that_never_finishes_its_request_does_not_hold_up_the_end() {
        let server = start().await;
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost").await.unwrap();
        server.get("/livez").await;
        server.stop.send(()).unwrap();
        timeout(LINGER * 10, server.ended).await.unwrap().unwrap().unwrap();
        assert!(TcpStream::connect(server.address).await.is_err(), "nobody listens any more");
    }
}
