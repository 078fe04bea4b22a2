//! Where they are and how to speak to them.

use std::time::Duration;

use lettre::message::Mailbox;
use oncewise::config::{Reader, Secret, WorkerSettings};
use percent_encoding::percent_decode_str;
use url::Url;

use super::{REPLY_TIMEOUT, TIMEOUT};

/// How to reach the mail server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmailSettings {
    /// The server that takes our mail.
    pub server: MailServer,
    /// Who writes. Its domain is that of the `Message-ID` too.
    pub from: Mailbox,
    /// How long it may take until the server asks for the message, the connection included.
    pub timeout: Duration,
    /// How long the server may then take to acknowledge the message. What is not acknowledged comes again.
    pub reply_timeout: Duration,
}

/// A mail server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailServer {
    /// Its name or address.
    pub host: String,
    /// Where it listens.
    pub port: u16,
    /// How what is said is kept secret.
    pub tls: MailTls,
    /// User and password, where it wants them.
    pub login: Option<(Secret, Secret)>,
}

/// When a connection to a mail server becomes a secret one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailTls {
    /// From the first byte.
    Wrapped,
    /// After `STARTTLS`; a server that does not offer it is not spoken to.
    StartTls,
    /// Never.
    None,
}

impl EmailSettings {
    /// Reads `[shop.email]`. `None` without an `smtp_url`, or with problems.
    pub(crate) fn read(reader: &mut Reader) -> Option<Self> {
        const URL: &str = "shop.email.smtp_url";
        const FROM: &str = "shop.email.from";
        const STARTTLS: &str = "shop.email.starttls";
        let url = reader.optional_secret_url(URL, &["smtp", "smtps"]);
        let allowed = "an address such as \"shop@example.com\" or \"The Shop <shop@example.com>\"";
        let from = reader.optional_parsed(FROM, allowed, |text| text.parse().ok());
        let starttls = reader.flag(STARTTLS, true);
        let timeout = reader.duration("shop.email.timeout", TIMEOUT);
        let reply_timeout = reply_timeout(reader, timeout);
        let Some(server) = MailServer::parse(url?.reveal(), starttls) else {
            let allowed = "allowed is smtp://[user:password@]host[:port], or smtps://; what is special in a URL \
                           is written as %XX in user and password";
            reader.problem(URL, allowed);
            return None;
        };
        if server.login.is_some() && server.tls == MailTls::None {
            let text = format!("would send the password of `{URL}` in clear; allowed are true, or smtps://");
            reader.problem(STARTTLS, text);
        }
        if from.is_none() && !reader.has(FROM) {
            reader.problem(FROM, format!("is missing beside `{URL}`; allowed is {allowed}"));
        }
        Some(Self { server, from: from?, timeout, reply_timeout })
    }
}

/// Whoever is cut off by the handler's time limit does not know what became of the mail, and nobody would count it.
fn reply_timeout(reader: &mut Reader, timeout: Duration) -> Duration {
    const KEY: &str = "shop.email.reply_timeout";
    let reply_timeout = reader.duration(KEY, REPLY_TIMEOUT);
    let limit = reader.duration("worker.handler_timeout", WorkerSettings::default().handler_timeout);
    // Once for a free connection, once for the conversation before the message.
    if reply_timeout.saturating_add(timeout.saturating_mul(2)) >= limit {
        let text = "with twice `shop.email.timeout` is not shorter than `worker.handler_timeout`; allowed is what is";
        reader.problem(KEY, text);
    }
    reply_timeout
}

impl MailServer {
    fn parse(url: &str, starttls: bool) -> Option<Self> {
        let url = Url::parse(url).ok()?;
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return None;
        }
        let (tls, port) = match (url.scheme(), starttls) {
            ("smtps", _) => (MailTls::Wrapped, 465),
            (_, true) => (MailTls::StartTls, 587),
            (_, false) => (MailTls::None, 25),
        };
        let decoded = |text: &str| Some(Secret::new(percent_decode_str(text).decode_utf8().ok()?));
        let login = match (url.username(), url.password()) {
            ("", None) => None,
            (_, None) => return None,
            (user, Some(password)) => Some((decoded(user)?, decoded(password)?)),
        };
        let host = url.host_str()?.trim_matches(['[', ']']).to_owned();
        Some(Self { host, port: url.port().unwrap_or(port), tls, login })
    }
}

/// How to reach a gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewaySettings {
    /// Where requests are posted to. May hold user and password.
    pub url: Secret,
    /// Sent as `Authorization: Bearer`, where the gateway wants one.
    pub token: Option<Secret>,
    /// How long one request may take in all, the connection included.
    pub timeout: Duration,
}

impl GatewaySettings {
    /// Reads a section. `None` without a `url`, or with problems.
    pub(crate) fn read(reader: &mut Reader, section: &str) -> Option<Self> {
        let key = |name: &str| format!("{section}.{name}");
        let url = reader.optional_secret_url(&key("url"), &["http", "https"]);
        let token = reader.secret(&key("token"));
        let timeout = reader.duration(&key("timeout"), TIMEOUT);
        if token.as_ref().is_some_and(|token| !token.reveal().bytes().all(|byte| byte.is_ascii_graphic())) {
            reader.problem(&key("token"), "allowed are the printable characters of ASCII, without spaces");
        }
        let url = url?;
        let Ok(place) = Url::parse(url.reveal()) else {
            reader.problem(&key("url"), "allowed is a URL such as https://gateway.example.com/v1/messages");
            return None;
        };
        if token.is_some() && (place.password().is_some() || !place.username().is_empty()) {
            let text = format!("the URL in `{}` holds a login too; allowed is one of them", key("url"));
            reader.problem(&key("token"), text);
        }
        Some(Self { url, token, timeout })
    }
}
