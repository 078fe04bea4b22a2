//! The body of a request: JSON, small, and read as a whole before anything is said about it.

use std::time::Duration;

use axum::{
    body::to_bytes,
    extract::Request,
    http::{HeaderMap, StatusCode, header},
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokio::time::timeout;

use super::answer::Refusal;

/// The largest body, in bytes.
const LARGEST: usize = 64 * 1024;
/// So much is read all the same: whoever is still sending does not see the refusal.
const READ: usize = 16 * LARGEST;
/// A client may take this long to send it.
const PATIENCE: Duration = Duration::from_secs(10);

/// The fields of a JSON object, taken out one by one. What is wrong is collected.
#[derive(Debug)]
pub(super) struct Fields {
    fields: Map<String, Value>,
    known: Vec<&'static str>,
    problems: Vec<String>,
}

impl Fields {
    /// Reads the body of a request.
    pub(super) async fn read(request: Request) -> Result<Self, Refusal> {
        if !is_json(request.headers()) {
            let error = "send JSON: Content-Type: application/json";
            return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, error));
        }
        let too_large = || {
            let error = format!("the body is too large; allowed are {LARGEST} bytes");
            Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, error)
        };
        let bytes = match timeout(PATIENCE, to_bytes(request.into_body(), READ)).await {
            Ok(Ok(bytes)) if bytes.len() <= LARGEST => bytes,
            // Or its client has gone away, and sees no answer.
            Ok(_) => return Err(too_large()),
            Err(_) => return Err(Refusal::bad(vec!["the body did not come in time".to_owned()])),
        };
        match serde_json::from_slice(&bytes) {
            Ok(Value::Object(fields)) => Ok(Self { fields, known: Vec::new(), problems: Vec::new() }),
            Ok(_) => Err(Refusal::bad(vec!["the body is no JSON object".to_owned()])),
            Err(error) => Err(Refusal::bad(vec![format!("the body is no JSON: {error}")])),
        }
    }

    /// A field that may be missing, or null; `allowed` completes the sentence "allowed is …".
    pub(super) fn take<T: DeserializeOwned>(&mut self, name: &'static str, allowed: &str) -> Option<T> {
        self.known.push(name);
        let value = self.fields.remove(name).filter(|value| !value.is_null())?;
        let shown = value.to_string();
        serde_json::from_value(value)
            .map_err(|_| self.problems.push(format!("{name}: {shown} is not allowed; allowed is {allowed}")))
            .ok()
    }

    /// Whether a field that was taken is wrong.
    pub(super) fn is_wrong(&self, name: &str) -> bool {
        self.problems.iter().any(|problem| problem.split(':').next() == Some(name))
    }

    /// What is wrong so far; a field that nobody has taken is wrong, too.
    pub(super) fn finish(self) -> Vec<String> {
        let Self { fields, known, mut problems } = self;
        let known = known.join(", ");
        problems
            .extend(fields.keys().map(|name| format!("{name:?}: there is no such field; there are {known}")));
        problems
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}
