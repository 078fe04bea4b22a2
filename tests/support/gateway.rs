//! A gateway over HTTP that honours idempotency keys, and misbehaves when told to.

use std::{
    collections::{BTreeMap, HashMap},
    convert::Infallible,
    future,
    hash::{DefaultHasher, Hash, Hasher},
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{ConnectInfo, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use futures_util::stream;
use serde_json::Value;
use tokio::{net::TcpListener, task::JoinHandle};

/// A gateway on a port of its own; gone when dropped.
#[derive(Debug)]
pub struct Gateway {
    pub address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

/// One request.
#[derive(Debug, Clone)]
pub struct Request {
    pub key: String,
    pub traceparent: String,
    pub authorization: String,
    pub body: Value,
    /// How often this key was asked for, from 1.
    pub attempt: usize,
    /// The other end of its connection.
    pub peer: SocketAddr,
}

/// What the gateway does with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Does it, unless it did, and says so.
    Do,
    /// Does it, unless it did, and answers this status all the same: the answer got lost on its way.
    DoBut(u16),
    /// Answers this status.
    Status(u16),
    /// Answers this status, with a `Retry-After`.
    RetryAfter(u16, String),
    /// Does it, unless it did, and never answers.
    Silence,
}

impl Reply {
    /// A failing share of all calls, `one_in` of them: which ones depends on the key and the attempt alone.
    pub fn failing(one_in: u64, request: &Request) -> Reply {
        let mut hash = DefaultHasher::new();
        (&request.key, request.attempt).hash(&mut hash);
        if hash.finish().is_multiple_of(one_in) { Reply::Status(503) } else { Reply::Do }
    }
}

#[derive(Debug, Default)]
struct Seen {
    requests: Vec<Request>,
    attempts: HashMap<String, usize>,
    effects: BTreeMap<String, Value>,
}

type Script = dyn Fn(&Request) -> Reply + Send + Sync;
type Shared = (Arc<Script>, Arc<Mutex<Seen>>);

impl Gateway {
    /// A gateway that does as `script` says.
    pub async fn that(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Gateway {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let seen = Arc::<Mutex<Seen>>::default();
        let shared: Shared = (Arc::new(script), Arc::clone(&seen));
        let router = Router::new().fallback(post(answer)).with_state(shared);
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        let task = tokio::spawn(async move { axum::serve(listener, service).await.expect("a server") });
        Gateway { address, seen, task }
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://{}/v1/messages", self.address)
    }

    /// All that was asked, in this order.
    pub fn requests(&self) -> Vec<Request> {
        self.seen.lock().expect("the requests").requests.clone()
    }

    /// What was done, by idempotency key: each once.
    pub fn effects(&self) -> BTreeMap<String, Value> {
        self.seen.lock().expect("the effects").effects.clone()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(
    State((script, seen)): State<Shared>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let header =
        |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let reply = {
        let mut seen = seen.lock().expect("the requests");
        let key = header("idempotency-key");
        let attempt = seen.attempts.entry(key.clone()).or_default();
        *attempt += 1;
        let request = Request {
            attempt: *attempt,
            key,
            traceparent: header("traceparent"),
            authorization: header("authorization"),
            body: serde_json::from_slice(&body).unwrap_or_default(),
            peer,
        };
        let reply = script(&request);
        if matches!(reply, Reply::Do | Reply::DoBut(_) | Reply::Silence) {
            seen.effects.entry(request.key.clone()).or_insert_with(|| request.body.clone());
        }
        seen.requests.push(request);
        reply
    };
    let status = |code| StatusCode::from_u16(code).expect("a status");
    // It repeats what it was told, as gateways do: none of that may reach an error text. And it takes its time, so
    // that the answer comes in two parts.
    let body = Body::from_stream(stream::once(async move {
        tokio::task::yield_now().await;
        Ok::<_, Infallible>(body)
    }));
    match reply {
        Reply::Do => (StatusCode::OK, body).into_response(),
        Reply::DoBut(code) | Reply::Status(code) => {
            (status(code), [("location", "/elsewhere")], body).into_response()
        }
        Reply::RetryAfter(code, after) => (status(code), [("retry-after", after)], body).into_response(),
        Reply::Silence => future::pending().await,
    }
}
