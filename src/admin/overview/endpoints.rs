//! `/status`, `/series`, `/series/{service}/partitions` and `/openapi.json`.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};

use super::Watched;
use crate::admin::{
    answer::{Refusal, json},
    endpoints::Endpoints,
};

/// What every endpoint takes and answers.
const OPENAPI: &str = include_str!("../openapi.json");

pub(in crate::admin) fn endpoints(watched: &Arc<Watched>) -> Endpoints {
    Endpoints::default()
        .at("/status", get(status).with_state(Arc::clone(watched)))
        .at("/series", get(series).with_state(Arc::clone(watched)))
        .at("/series/{service}/partitions", get(partitions).with_state(Arc::clone(watched)))
        .at("/openapi.json", get(described))
}

async fn status(State(watched): State<Arc<Watched>>) -> Response {
    json(StatusCode::OK, &watched.now())
}

async fn series(State(watched): State<Arc<Watched>>) -> Response {
    json(StatusCode::OK, &watched.series())
}

async fn partitions(
    State(watched): State<Arc<Watched>>,
    Path(service): Path<String>,
) -> Result<Response, Refusal> {
    let series = watched.partitions(&service).ok_or_else(|| Refusal::no_service(&service))?;
    Ok(json(StatusCode::OK, &series))
}

/// It says nothing about this process, and is the same for everybody.
async fn described() -> Response {
    let kind = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    ([kind], OPENAPI).into_response()
}
