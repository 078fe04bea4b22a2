//! The console: a page that holds no data, served to anybody, which asks for the token and then for `/api/v1`.

use axum::{
    Router,
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
    routing::get,
};

/// Its files: path, kind and content.
const FILES: [(&str, &str, &str); 12] = [
    ("/", "text/html; charset=utf-8", include_str!("console/index.html")),
    ("/console.css", "text/css; charset=utf-8", include_str!("console/console.css")),
    ("/icon.svg", "image/svg+xml", include_str!("console/icon.svg")),
    ("/console.js", SCRIPT, include_str!("console/console.js")),
    ("/api.js", SCRIPT, include_str!("console/api.js")),
    ("/dom.js", SCRIPT, include_str!("console/dom.js")),
    ("/dialogs.js", SCRIPT, include_str!("console/dialogs.js")),
    ("/plots.js", SCRIPT, include_str!("console/plots.js")),
    ("/services.js", SCRIPT, include_str!("console/services.js")),
    ("/fleet.js", SCRIPT, include_str!("console/fleet.js")),
    ("/letters.js", SCRIPT, include_str!("console/letters.js")),
    ("/replays.js", SCRIPT, include_str!("console/replays.js")),
];
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// The page takes nothing from elsewhere, sends nothing elsewhere, and cannot be framed.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(super) fn routes() -> Router {
    FILES.into_iter().fold(Router::new(), |router, (path, kind, text)| {
        router.route(path, get(move || async move { file(kind, text) }))
    })
}

fn file(kind: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        // What a browser keeps would outlast an upgrade.
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers.map(|(name, value)| (name, HeaderValue::from_static(value))), text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_small_and_takes_nothing_from_elsewhere() {
        let size: usize = FILES.iter().map(|(_, _, text)| text.len()).sum();
        assert!(size < 60_000, "{size} bytes");
        for (path, _, text) in FILES {
            let addresses = text.matches("://").count() - text.matches("http://www.w3.org/").count();
            assert_eq!(addresses, 0, "{path} names another place");
            for unsafe_word in ["innerHTML", "outerHTML", "insertAdjacentHTML", "eval(", "localStorage"] {
                assert!(!text.contains(unsafe_word), "{path} uses {unsafe_word}");
            }
        }
    }
}
