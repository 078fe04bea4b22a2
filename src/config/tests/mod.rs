//! Whole loads: from files, variables and flags to settings or problems.

mod admin;
mod breaker;
mod defaults;
mod layers;
mod problems;
mod secrets;
mod services;
mod telemetry;

use std::{fs, time::Duration};

use tempfile::TempDir;

use super::{AppConfig, Flags, Loaded, Problems, Reader, Secret, Sources, load};

/// The sections of the example services, as far as `default.toml` shows them.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Shop {
    database: Secret,
    database_connections: u32,
    inbox_retention: Duration,
    opening_credit_cents: i64,
    gateway_busy_percent: u8,
    gateway: Gateway,
    email: (Option<Secret>, Option<String>, bool, [Duration; 2]),
    sms: Gateway,
}

/// Where, with which token, and for how long.
type Gateway = (Option<Secret>, Option<Secret>, Duration);

/// How long one call to the outside may take.
const CALL: Duration = Duration::from_secs(8);

impl AppConfig for Shop {
    fn read(reader: &mut Reader) -> Self {
        Self {
            database: reader.secret_url("database.url", "sqlite://shop.db", &["sqlite", "postgres"]),
            database_connections: reader.integer_in("database.max_connections", 16, 1..=1000),
            inbox_retention: reader.duration("shop.inbox_retention", Duration::from_secs(30 * 86_400)),
            opening_credit_cents: reader.integer_in("shop.opening_credit_cents", 1_000_000, 0..=i64::MAX),
            gateway_busy_percent: reader.integer_in("shop.gateway_busy_percent", 0, 0..=100),
            gateway: gateway(reader, "gateway"),
            email: (
                reader.optional_secret_url("shop.email.smtp_url", &["smtp", "smtps"]),
                reader.optional_text("shop.email.from"),
                reader.flag("shop.email.starttls", true),
                [
                    reader.duration("shop.email.timeout", CALL),
                    reader.duration("shop.email.reply_timeout", Duration::from_secs(240)),
                ],
            ),
            sms: gateway(reader, "sms"),
        }
    }
}

fn gateway(reader: &mut Reader, name: &str) -> Gateway {
    let key = |key: &str| format!("shop.{name}.{key}");
    (
        reader.optional_secret_url(&key("url"), &["http", "https"]),
        reader.secret(&key("token")),
        reader.duration(&key("timeout"), CALL),
    )
}

type Outcome = Result<Loaded<Shop>, Problems>;

fn load_from(flags: Flags, environment: &[(&str, &str)], folder: &TempDir) -> Outcome {
    load(&Sources::new(flags, environment.iter().copied()).in_folder(folder.path()))
}

/// Loads one file and these variables.
fn load_text(text: &str, environment: &[(&str, &str)]) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("default.toml"), text).unwrap();
    load_from(Flags::default(), environment, &folder)
}

/// The problems of one file and these variables, without the folder's name.
fn problems_of(text: &str, environment: &[(&str, &str)]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("default.toml"), text).unwrap();
    let problems = load_from(Flags::default(), environment, &folder).unwrap_err();
    let prefix = format!("{}/", folder.path().display());
    problems.0.iter().map(|problem| problem.to_string().replace(&prefix, "")).collect()
}
