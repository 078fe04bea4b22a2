//! Answers and refusals, as JSON.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use crate::{
    audit::AuditError,
    fleet::NotDone,
    replay::{ReplayError, ResumeError},
    store::StoreFault,
};

/// What is asked for is not done, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Refusal {
    #[serde(skip)]
    status: StatusCode,
    error: String,
    /// What is wrong with a request, one by one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<String>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self { status, error: error.into(), problems: Vec::new() }
    }

    /// All that is wrong with a request.
    pub(super) fn bad(problems: Vec<String>) -> Self {
        let error = problems.join("\n");
        Self { status: StatusCode::BAD_REQUEST, error, problems }
    }

    pub(super) fn conflict(error: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, error)
    }

    /// No service of this worker has that name.
    pub(super) fn no_service(name: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("there is no service {name} in this worker"))
    }

    /// It could be done, but not now.
    pub(super) fn not_now(error: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error)
    }
}

impl From<ReplayError> for Refusal {
    fn from(error: ReplayError) -> Self {
        match error {
            ReplayError::Order(problems) => Self::bad(problems.lines().map(str::to_owned).collect()),
            ReplayError::Unknown(reason) | ReplayError::Busy(reason) => Self::conflict(reason),
            ReplayError::Trouble(reason) => Self::not_now(reason),
        }
    }
}

impl From<ResumeError> for Refusal {
    fn from(error: ResumeError) -> Self {
        match error {
            ResumeError::NotThere { .. } => Self::new(StatusCode::NOT_FOUND, error.to_string()),
            ResumeError::Finished(_) => Self::conflict(error.to_string()),
            ResumeError::Store(fault) => fault.into(),
        }
    }
}

impl From<StoreFault> for Refusal {
    fn from(fault: StoreFault) -> Self {
        Self::not_now(format!("the dedupe store: {fault}"))
    }
}

impl From<NotDone> for Refusal {
    fn from(error: NotDone) -> Self {
        match error {
            NotDone::Impossible(_) => Self::conflict(error.to_string()),
            NotDone::Trouble(reason) => Self::not_now(reason),
        }
    }
}

impl From<AuditError> for Refusal {
    fn from(error: AuditError) -> Self {
        Self::not_now(error.to_string())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        json(self.status, &self)
    }
}

/// An answer that nobody on the way may keep.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(text) => {
            let kept = (header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            let kind = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            (status, [kind, kept], text).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

pub(super) async fn not_here() -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "nothing is here; GET /api/v1/openapi.json says what there is")
}

pub(super) async fn not_so() -> Refusal {
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "nothing is done here by this method")
}
