//! Texts that must not be seen.

use std::fmt;

use serde::{Serialize, Serializer};

/// What is shown in a secret's place.
pub(crate) const MASK: &str = "***";

/// A text that shows itself as `***` wherever it is printed or serialised.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that needs it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(MASK)
    }
}

/// Shows a URL without its user, its password and the values of its query. Where it is not clear what is what,
/// it hides more rather than less.
#[must_use]
pub fn mask_url(url: &str) -> String {
    // A text that only looks like a URL may be the secret itself.
    let is_scheme = |scheme: &str| scheme.len() <= 10 && scheme.bytes().all(|byte| byte.is_ascii_lowercase());
    let Some((scheme, rest)) = url.split_once("://").filter(|(scheme, _)| is_scheme(scheme)) else {
        return MASK.to_owned();
    };
    // The last `@` of all, not of the host part: a password with a raw `/`, `?` or `@` stays hidden too.
    let (user, rest) = match rest.rsplit_once('@') {
        Some((_, rest)) => (format!("{MASK}@"), rest),
        None => (String::new(), rest),
    };
    match rest.split_once('?') {
        Some((path, _)) => format!("{scheme}://{user}{path}?{MASK}"),
        None => format!("{scheme}://{user}{rest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_printed() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret} {secret:?} {:?}", Some(&secret)), "*** *** Some(***)");
        assert_eq!(serde_json::to_string(&secret).unwrap(), "\"***\"");
        assert_eq!(secret.reveal(), "hunter2");
    }

    #[test]
    fn a_url_is_shown_without_credentials() {
        assert_eq!(mask_url("redis://localhost:6379"), "redis://localhost:6379");
        assert_eq!(mask_url("redis://u:p@host:1/0"), "redis://***@host:1/0");
        assert_eq!(mask_url("redis://:a/b?c@d@host"), "redis://***@host");
        assert_eq!(mask_url("postgres://h/db?password=p"), "postgres://h/db?***");
        assert_eq!(mask_url("hunter2"), "***");
        assert_eq!(mask_url("hunter2://localhost"), "***");
    }
}
