//! Endpoints, collected with their paths: axum does not tell them, and each has to stand in `openapi.json`.

use axum::{Router, routing::MethodRouter};

/// Some endpoints below `/api/v1`.
#[derive(Debug, Default)]
pub(super) struct Endpoints {
    router: Router,
    paths: Vec<&'static str>,
}

impl Endpoints {
    /// With what `path` answers, by method.
    pub(super) fn at(mut self, path: &'static str, methods: MethodRouter) -> Self {
        self.router = self.router.route(path, methods);
        self.paths.push(path);
        self
    }

    /// Together with others.
    pub(super) fn and(mut self, others: Self) -> Self {
        self.router = self.router.merge(others.router);
        self.paths.extend(others.paths);
        self
    }

    pub(super) fn into_router(self) -> Router {
        self.router
    }

    #[cfg(test)]
    pub(super) fn paths(&self) -> &[&'static str] {
        &self.paths
    }
}
