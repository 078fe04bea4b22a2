//! The header `Retry-After`.

use std::time::{Duration, SystemTime};

/// Whoever asks for more patience is asked again sooner: a lane waits as long, and retries have a budget.
const LONGEST: Duration = Duration::from_secs(5 * 60);

/// How long to wait, from seconds or an HTTP date; `None` if it is neither.
pub(super) fn parse(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    let asked = match value.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(value).ok()?.duration_since(now).unwrap_or_default(),
    };
    Some(asked.min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates_are_read_and_capped() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        let wait = |value| parse(value, now).map(|wait| wait.as_secs());
        assert_eq!(wait("2"), Some(2));
        assert_eq!(wait(" 0 "), Some(0));
        assert_eq!(wait("86400"), Some(300), "capped");
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:47 GMT"), Some(10));
        assert_eq!(wait("Sunday, 06-Nov-94 08:49:47 GMT"), Some(10), "the older form");
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:27 GMT"), Some(0), "gone by");
        assert_eq!(wait("Mon, 07 Nov 1994 08:49:37 GMT"), Some(300), "capped");
        for odd in ["", "-1", "1.5", "soon", "99999999999999999999999"] {
            assert_eq!(wait(odd), None, "{odd}");
        }
    }
}
