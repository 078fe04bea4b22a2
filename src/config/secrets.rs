//! How a [`Reader`] reads secrets: from the key itself, or from the file that `<key>_file` names.

use std::fs;

use super::reader::{Line, Reader};
use super::secret::{MASK, Secret, mask_url};

impl Reader {
    /// A secret from `key`, or from the file that `<key>_file` names, without its last line break. A later
    /// layer's key replaces an earlier layer's file and the other way round; both in one layer is a problem.
    pub fn secret(&mut self, key: &str) -> Option<Secret> {
        self.secret_text(key, |_| MASK.to_owned()).map(Secret::new)
    }

    /// A URL that may hold a user and a password, with one of these schemes (`redis` stands for `redis://`).
    /// It is read like a [`secret`](Self::secret) and shown without its credentials.
    pub fn secret_url(&mut self, key: &str, default: &str, schemes: &[&str]) -> Secret {
        self.optional_secret_url(key, schemes).unwrap_or_else(|| {
            if !self.has(key) && !self.has(&format!("{key}_file")) {
                self.show(key, Line { shown: show_url(default), origin: super::Origin::Default });
            }
            Secret::new(default)
        })
    }

    /// [`secret_url`](Self::secret_url), where silence has a meaning of its own.
    pub fn optional_secret_url(&mut self, key: &str, schemes: &[&str]) -> Option<Secret> {
        let url = self.secret_text(key, show_url)?;
        let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
        if !schemes.contains(&scheme) {
            self.problem(key, format!("allowed is a URL that starts with {}", schemes.join(": or ") + ":"));
        }
        Some(Secret::new(url))
    }

    fn secret_text(&mut self, key: &str, show: impl Fn(&str) -> String) -> Option<String> {
        let file_key = format!("{key}_file");
        self.know(key);
        self.know(&file_key);
        let plain = self.entries.get(key).cloned();
        let file = self.entries.get(&file_key).cloned();
        if let (Some(plain), Some(file)) = (&plain, &file)
            && plain.layer == file.layer
        {
            let other = file.origin.to_string();
            self.show(key, Line { shown: MASK.to_owned(), origin: plain.origin.clone() });
            self.problem(key, format!("`{file_key}` ({other}) is given too; allowed is one of them"));
            return None;
        }
        if let Some(file) = file.filter(|file| plain.as_ref().is_none_or(|plain| plain.layer < file.layer)) {
            let path = self.optional_text(&file_key)?;
            if !["/", "./", "../"].iter().any(|start| path.starts_with(start)) {
                // It may be the secret itself under the wrong key.
                self.show(&file_key, Line { shown: MASK.to_owned(), origin: file.origin.clone() });
            }
            let text = match fs::read_to_string(&path) {
                Ok(text) => text,
                Err(error) => {
                    self.problem(&file_key, format!("cannot be read: {error}"));
                    return None;
                }
            };
            let text = text.strip_suffix('\n').unwrap_or(&text);
            let text = text.strip_suffix('\r').unwrap_or(text);
            self.show(key, Line { shown: show(text), origin: file.origin });
            return self.filled(&file_key, text, "the file is empty");
        }
        let entry = plain?;
        let text = entry.value.scalar();
        // A list is no secret and has no text to show.
        let shown = text.as_deref().map_or_else(|| MASK.to_owned(), show);
        self.show(key, Line { shown, origin: entry.origin.clone() });
        self.filled(key, &text.unwrap_or_default(), "allowed is a text that is not empty")
    }

    fn filled(&mut self, key: &str, text: &str, otherwise: &str) -> Option<String> {
        if text.is_empty() {
            self.problem(key, otherwise);
            return None;
        }
        Some(text.to_owned())
    }
}

fn show_url(url: &str) -> String {
    format!("{:?}", mask_url(url))
}
