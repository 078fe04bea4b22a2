//! Who may ask: whoever brings the token. There are no cookies, so no page can ask in a visitor's name.

use std::{fmt, net::IpAddr};

use axum::{
    Extension,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::answer::Refusal;
use crate::config::Secret;

/// Where a request came from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Remote(pub(super) IpAddr);

impl Remote {
    /// As it stands in the audit topic.
    pub(super) fn who(self) -> String {
        format!("api@{}", self.0)
    }
}

/// The digest of the token: comparing two takes the same time wherever they differ.
#[derive(Clone)]
pub(super) struct Key(blake3::Hash);

impl Key {
    pub(super) fn of(token: &Secret) -> Self {
        Self(blake3::hash(token.reveal().as_bytes()))
    }

    fn opens(&self, headers: &HeaderMap) -> bool {
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let given = given.and_then(|value| value.split_once(' '));
        given.is_some_and(|(scheme, token)| {
            scheme.eq_ignore_ascii_case("bearer") && blake3::hash(token.trim().as_bytes()) == self.0
        })
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(***)")
    }
}

/// Lets nobody through without the token.
pub(super) async fn required(
    State(key): State<Key>,
    Extension(remote): Extension<Remote>,
    request: Request,
    next: Next,
) -> Response {
    if key.opens(request.headers()) {
        return next.run(request).await;
    }
    tracing::warn!(remote = %remote.0, path = request.uri().path(), "refused for want of the token");
    let refusal = Refusal::new(StatusCode::UNAUTHORIZED, "send the token: Authorization: Bearer TOKEN");
    let mut response = refusal.into_response();
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opens(value: &str) -> bool {
        let headers = [(header::AUTHORIZATION, value.parse().unwrap())].into_iter().collect();
        Key::of(&Secret::new("0123456789abcdef")).opens(&headers)
    }

    #[test]
    fn only_the_whole_token_opens() {
        assert!(opens("Bearer 0123456789abcdef"));
        assert!(opens("bearer 0123456789abcdef"));
        for wrong in [
            "",
            "Bearer",
            "Bearer ",
            "Bearer 0123456789abcde",
            "Bearer 0123456789abcdef0",
            "Bearer 0123456789abcdeF",
            "Basic 0123456789abcdef",
            "0123456789abcdef",
        ] {
            assert!(!opens(wrong), "{wrong}");
        }
        assert!(!Key::of(&Secret::new("0123456789abcdef")).opens(&HeaderMap::new()));
    }
}
