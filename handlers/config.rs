//! What an operator may set.

use std::{fmt, time::Duration};

use oncewise::config::{AppConfig, DedupeSettings, Reader};

use crate::outside::{EmailSettings, GatewaySettings};

/// The settings of the shop.
#[derive(Clone, PartialEq, Eq)]
pub struct ShopConfig {
    /// Where the database is, `sqlite://PATH` or `postgres://…`. May hold a password, so it is never printed.
    pub database_url: String,
    /// How many connections one worker has to PostgreSQL at most, 1 to 1000. SQLite has one.
    pub database_connections: u32,
    /// How long an effect's mark is kept in the database. Longer than every `dedupe.ttl`, and than the range of any
    /// replay: what the store has forgotten, the mark still knows. It is compared with that of `[dedupe]` only, not
    /// with what a service or a handler has for itself.
    pub inbox_retention: Duration,
    /// What a wallet holds when it is opened, at its user's first payment; 0 or more hundredths.
    pub opening_credit_cents: i64,
    /// How many of 100 calls find the pretended payment gateway busy; 0 to 100.
    pub gateway_busy_percent: u8,
    /// The payment gateway; a pretended one without.
    pub gateway: Option<GatewaySettings>,
    /// The mail server; without, e-mails go to the log.
    pub email: Option<EmailSettings>,
    /// The SMS gateway; without, messages go to the log.
    pub sms: Option<GatewaySettings>,
}

impl Default for ShopConfig {
    fn default() -> Self {
        Self {
            database_url: "sqlite://shop.db".into(),
            database_connections: 16,
            inbox_retention: Duration::from_secs(30 * 86_400),
            opening_credit_cents: 1_000_000,
            gateway_busy_percent: 0,
            gateway: None,
            email: None,
            sms: None,
        }
    }
}

impl AppConfig for ShopConfig {
    fn read(reader: &mut Reader) -> Self {
        let default = Self::default();
        let schemes = ["sqlite", "postgres", "postgresql"];
        let url = reader.secret_url("database.url", &default.database_url, &schemes);
        Self {
            database_url: url.reveal().to_owned(),
            database_connections: reader.integer_in(
                "database.max_connections",
                default.database_connections,
                1..=1000,
            ),
            inbox_retention: inbox_retention(reader, default.inbox_retention),
            opening_credit_cents: reader.integer_in(
                "shop.opening_credit_cents",
                default.opening_credit_cents,
                0..=i64::MAX,
            ),
            gateway_busy_percent: reader.integer_in(
                "shop.gateway_busy_percent",
                default.gateway_busy_percent,
                0..=100,
            ),
            gateway: GatewaySettings::read(reader, "shop.gateway"),
            email: EmailSettings::read(reader),
            sms: GatewaySettings::read(reader, "shop.sms"),
        }
    }
}

fn inbox_retention(reader: &mut Reader, default: Duration) -> Duration {
    const KEY: &str = "shop.inbox_retention";
    let retention = reader.duration(KEY, default);
    if retention < reader.duration("dedupe.ttl", DedupeSettings::DEFAULT_TTL) {
        reader.problem(KEY, "is shorter than `dedupe.ttl`; allowed is as long or longer");
    }
    retention
}

impl fmt::Debug for ShopConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShopConfig")
            .field("database_connections", &self.database_connections)
            .field("inbox_retention", &self.inbox_retention)
            .field("opening_credit_cents", &self.opening_credit_cents)
            .field("gateway_busy_percent", &self.gateway_busy_percent)
            .field("gateway", &self.gateway)
            .field("email", &self.email)
            .field("sms", &self.sms)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use oncewise::config::{Flags, Secret, Sources, load};

    use super::*;
    use crate::outside::MailTls;

    fn loaded(pairs: &[(&str, &str)]) -> Result<ShopConfig, String> {
        let sources = Sources::new(Flags::default(), pairs.iter().copied()).in_folder("no-such-folder");
        load::<ShopConfig>(&sources).map(|loaded| loaded.app).map_err(|problems| problems.to_string())
    }

    #[test]
    fn all_problems_are_named_at_once() {
        let problems = loaded(&[
            ("ONCEWISE__SHOP__OPENING_CREDIT_CENTS", "-1"),
            ("ONCEWISE__SHOP__GATEWAY_BUSY_PERCENT", "101"),
        ])
        .unwrap_err();
        for key in ["shop.opening_credit_cents", "shop.gateway_busy_percent"] {
            assert!(problems.contains(key), "{problems}");
        }
        assert_eq!(loaded(&[]), Ok(ShopConfig::default()));
    }

    #[test]
    fn marks_outlive_what_the_store_remembers() {
        let retention = |days: &str, ttl: &str| {
            loaded(&[("ONCEWISE__SHOP__INBOX_RETENTION", days), ("ONCEWISE__DEDUPE__TTL", ttl)])
        };
        assert_eq!(retention("8d", "8d").unwrap().inbox_retention, Duration::from_secs(8 * 86_400));
        let problem = retention("8d", "9d").unwrap_err();
        assert!(problem.contains("shop.inbox_retention = \"8d\""), "{problem}");
        assert!(loaded(&[("ONCEWISE__DEDUPE__TTL", "31d")]).is_err(), "nor does the default");
        let problem = retention("8d", "soon").unwrap_err();
        assert_eq!(problem.matches("dedupe.ttl").count(), 1, "told once: {problem}");
    }

    #[test]
    fn the_outside_is_read_or_named_with_what_is_allowed() {
        let email = |url: &str, starttls: &str| {
            let email = loaded(&[
                ("ONCEWISE__SHOP__EMAIL__SMTP_URL", url),
                ("ONCEWISE__SHOP__EMAIL__FROM", "The Shop <shop@example.com>"),
                ("ONCEWISE__SHOP__EMAIL__STARTTLS", starttls),
            ]);
            email.map(|config| config.email.unwrap().server)
        };
        let server = email("smtp://me%40shop:hunt%2Fer@mail:2525", "true").unwrap();
        assert_eq!((server.host.as_str(), server.port, server.tls), ("mail", 2525, MailTls::StartTls));
        assert_eq!(server.login, Some((Secret::new("me@shop"), Secret::new("hunt/er"))));
        let port = |url, starttls| email(url, starttls).map(|server| (server.port, server.tls)).unwrap();
        assert_eq!(port("smtp://mail", "true"), (587, MailTls::StartTls));
        assert_eq!(port("smtp://mail", "false"), (25, MailTls::None));
        assert_eq!(port("smtps://mail", "false"), (465, MailTls::Wrapped));
        assert_eq!(email("smtp://[::1]:25", "false").unwrap().host, "::1");

        for (url, starttls, text) in [
            ("http://me:hunter2@mail", "true", "allowed is a URL that starts with smtp: or smtps:"),
            ("smtp://me:hunter2@", "true", "allowed is smtp://[user:password@]host[:port]"),
            ("smtp://me:hunter2@mail/path", "true", "allowed is smtp://[user:password@]host[:port]"),
            ("smtp://hunter2@mail", "true", "allowed is smtp://[user:password@]host[:port]"),
            ("smtp://me:hunter2@mail", "false", "would send the password of `shop.email.smtp_url` in clear"),
        ] {
            let problem = email(url, starttls).unwrap_err();
            assert!(problem.contains("shop.email.") && problem.contains(text), "{problem}");
            assert!(!problem.contains("hunter2"), "{problem}");
        }
    }

    #[test]
    fn a_mail_server_is_waited_for_no_longer_than_its_handler_may_take() {
        let email = |reply_timeout: &str, handler_timeout: &str| {
            loaded(&[
                ("ONCEWISE__SHOP__EMAIL__SMTP_URL", "smtp://mail"),
                ("ONCEWISE__SHOP__EMAIL__FROM", "shop@example.com"),
                ("ONCEWISE__SHOP__EMAIL__REPLY_TIMEOUT", reply_timeout),
                ("ONCEWISE__WORKER__HANDLER_TIMEOUT", handler_timeout),
            ])
        };
        assert_eq!(email("4m", "5m").unwrap().email.unwrap().reply_timeout, Duration::from_secs(240));
        for (reply_timeout, handler_timeout) in [("4m", "256s"), ("10m", "5m")] {
            let problem = email(reply_timeout, handler_timeout).unwrap_err();
            let text = format!("shop.email.reply_timeout = \"{reply_timeout}\"");
            assert!(problem.contains(&text) && problem.contains("`worker.handler_timeout`"), "{problem}");
        }
    }

    #[test]
    fn what_belongs_together_is_missed() {
        let problem = loaded(&[("ONCEWISE__SHOP__EMAIL__SMTP_URL", "smtp://mail")]).unwrap_err();
        assert!(problem.contains("shop.email.from: is missing beside `shop.email.smtp_url`"), "{problem}");
        let problem = loaded(&[("ONCEWISE__SHOP__EMAIL__FROM", "shop")]).unwrap_err();
        assert!(problem.contains("shop.email.from = \"shop\""), "{problem}");
        assert!(problem.contains("allowed is an address such as \"shop@example.com\""), "{problem}");
        let problems = loaded(&[
            ("ONCEWISE__SHOP__SMS__URL", "https://"),
            ("ONCEWISE__SHOP__GATEWAY__URL", "ftp://me:hunter2@gateway"),
            ("ONCEWISE__SHOP__GATEWAY__TOKEN", "hunter2\n"),
        ])
        .unwrap_err();
        for text in [
            "shop.sms.url = \"https://\"",
            "shop.gateway.url = \"ftp://***@gateway\"",
            "allowed is a URL that starts with http: or https:",
            "shop.gateway.token = ***",
            "the URL in `shop.gateway.url` holds a login too; allowed is one of them",
        ] {
            assert!(problems.contains(text), "{problems}");
        }
        assert!(!problems.contains("hunter2"), "{problems}");
    }

    #[test]
    fn no_password_is_printed() {
        let config =
            ShopConfig { database_url: "postgres://me:hunter2@db/shop".into(), ..ShopConfig::default() };
        assert!(!format!("{config:?}").contains("hunter2"));
        let config = loaded(&[
            ("ONCEWISE__SHOP__EMAIL__SMTP_URL", "smtps://me:hunter2@mail"),
            ("ONCEWISE__SHOP__EMAIL__FROM", "shop@example.com"),
            ("ONCEWISE__SHOP__SMS__URL", "https://me:hunter2@sms"),
            ("ONCEWISE__SHOP__GATEWAY__URL", "https://gateway"),
            ("ONCEWISE__SHOP__GATEWAY__TOKEN", "hunter2"),
        ])
        .unwrap();
        assert!(config.email.is_some() && config.sms.is_some() && config.gateway.is_some());
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
