//! `/status`, `/series` and `/openapi.json`.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};

use super::Watched;
use crate::admin::{answer::json, endpoints::Endpoints};

/// What every endpoint takes and answers.
const OPENAPI: &str = include_str!("../openapi.json");

pub(in crate::admin) fn endpoints(watched: &Arc<Watched>) -> Endpoints {
    Endpoints::default()
        .at("/status", get(status).with_state(Arc::clone(watched)))
        .at("/series", get(series).with_state(Arc::clone(watched)))
        .at("/openapi.json", get(described))
}

async fn status(State(watched): State<Arc<Watched>>) -> Response {
    json(StatusCode::OK, &watched.now())
}

async fn series(State(watched): State<Arc<Watched>>) -> Response {
    json(StatusCode::OK, &watched.series())
}

/// It says nothing about this process, and is the same for everybody.
async fn described() -> Response {
    let kind = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    ([kind], OPENAPI).into_response()
}
