//! A gateway over HTTP that honours idempotency keys.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use oncewise::{BoxError, Context, Failure, config::Secret};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use reqwest::{Client, Response, StatusCode, header::RETRY_AFTER, redirect::Policy};
use rustls::crypto::ring;
use serde::Serialize;
use thiserror::Error;
use url::Url;

use super::{GatewaySettings, retry_after};

/// What a header cannot hold as it is, and the sign that it is written with instead.
const ESCAPED: &AsciiSet = &CONTROLS.add(b' ').add(b'%');
/// So much of an answer is read so that its connection can serve again; a longer one costs the connection.
const LONGEST_ANSWER: usize = 64 * 1024;

/// A gateway. Its connections are kept and used again.
pub struct HttpGateway {
    client: Client,
    url: Url,
    token: Option<Secret>,
}

impl HttpGateway {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// The URL is none, or this machine has no certificates to trust.
    pub fn new(settings: &GatewaySettings) -> Result<Self, BoxError> {
        // Somebody else in the process may have chosen already; whoever was first counts.
        drop(ring::default_provider().install_default());
        let url: Url = settings.url.reveal().parse()?;
        let builder = Client::builder()
            .timeout(settings.timeout)
            // A redirected POST would become a GET, or go where nobody configured it to go.
            .redirect(Policy::none())
            .user_agent(concat!("oncewise-shop/", env!("CARGO_PKG_VERSION")));
        // Who speaks in clear needs no certificates, and small images have none.
        let builder = if url.scheme() == "http" { builder.tls_certs_only([]) } else { builder };
        Ok(Self { client: builder.build()?, url, token: settings.token.clone() })
    }

    /// Posts `body` as JSON, with the idempotency key and the trace of this attempt. Asked again with the same key,
    /// the gateway repeats its answer and does nothing, so an attempt that was cut off may simply be made again.
    ///
    /// # Errors
    /// The gateway was not reached, or its answer is no success.
    pub async fn post(
        &self,
        ctx: &Context,
        idempotency_key: &str,
        body: &impl Serialize,
    ) -> Result<(), GatewayError> {
        let mut request = self
            .client
            .post(self.url.clone())
            .header("idempotency-key", utf8_percent_encode(idempotency_key, ESCAPED).to_string())
            .header("traceparent", ctx.traceparent())
            .json(body);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.reveal());
        }
        let response =
            request.send().await.map_err(|error| GatewayError::Unreachable(error.without_url()))?;
        let patience = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let patience = patience.and_then(|value| retry_after::parse(value, SystemTime::now()));
        let answer = judge(response.status(), patience);
        read_away(response).await;
        answer
    }
}

/// Without the URL, which may hold a password.
impl fmt::Debug for HttpGateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpGateway").finish_non_exhaustive()
    }
}

/// Which answers are worth another try.
fn judge(status: StatusCode, retry_after: Option<Duration>) -> Result<(), GatewayError> {
    match status.as_u16() {
        200..=299 => Ok(()),
        // Our token or our URL is wrong (3xx, 401, 403, 404, 405, 407), which is not the event's fault; the first
        // request with this key is still at work (409); or it says itself that it may do better later.
        300..=399 | 401 | 403..=405 | 407..=409 | 425 | 429 | 500.. => {
            Err(GatewayError::Later { status, retry_after })
        }
        _ => Err(GatewayError::Refused { status }),
    }
}

/// The status has said it all; an answer that breaks off is no matter.
async fn read_away(mut response: Response) {
    let mut read = 0;
    while let Ok(Some(chunk)) = response.chunk().await {
        read += chunk.len();
        if read > LONGEST_ANSWER {
            return;
        }
    }
}

/// A gateway that did not do what it was asked.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GatewayError {
    /// There was no answer. Whether it did it is not known.
    #[error("the gateway did not answer")]
    Unreachable(#[source] reqwest::Error),
    /// It may do it later.
    #[error("the gateway answered {status}")]
    Later {
        /// What it answered.
        status: StatusCode,
        /// How long it asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// It will not do it.
    #[error("the gateway answered {status}")]
    Refused {
        /// What it answered.
        status: StatusCode,
    },
}

/// The one place that says which of a gateway's errors are worth another try.
impl From<GatewayError> for Failure {
    fn from(error: GatewayError) -> Self {
        match error {
            GatewayError::Later { retry_after: Some(delay), .. } => Self::retry_after(delay, error),
            GatewayError::Later { .. } | GatewayError::Unreachable(_) => Self::retry(error),
            GatewayError::Refused { .. } => Self::reject(error),
        }
    }
}
