//! `[telemetry]`: what is logged, noted and traced.

use std::fmt;
use std::path::PathBuf;

use tracing_subscriber::EnvFilter;

use crate::config::{Reader, Secret};
pub use crate::telemetry::LogFormat;

/// `[telemetry]`: what is logged, and how; where evidence and spans go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TelemetrySettings {
    /// How a line of the log looks.
    pub log_format: LogFormat,
    /// Levels, also by module: `info`, `warn,oncewise=debug`.
    pub log_filter: String,
    /// The file to which everything is noted that the worker does with claims, offsets and letters, as JSON lines;
    /// nothing is noted where there is none.
    pub evidence: Option<PathBuf>,
    /// The collector that spans go to; `None` leaves it to the standard's variables, and without these there is none.
    pub otlp_endpoint: Option<String>,
    /// What the collector wants to hear with every batch: `name=value`, with commas between them.
    pub otlp_headers: Option<Secret>,
    /// The share of the traces that begin here and are recorded; others keep to what was decided where they began.
    pub trace_ratio: Option<TraceRatio>,
    /// Whether spans name the keys of records.
    pub trace_keys: bool,
}

impl Default for TelemetrySettings {
    fn default() -> Self {
        Self {
            log_format: LogFormat::Text,
            log_filter: "info".to_owned(),
            evidence: None,
            otlp_endpoint: None,
            otlp_headers: None,
            trace_ratio: None,
            trace_keys: false,
        }
    }
}

impl TelemetrySettings {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let default = Self::default();
        let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
        let filter = "a filter such as \"info\" or \"warn,oncewise=debug\"";
        let endpoint = "the URL of a collector such as \"http://localhost:4318\", without user and password";
        let settings = Self {
            log_format: reader.choice("telemetry.log_format", default.log_format, &formats),
            log_filter: reader.parsed("telemetry.log_filter", default.log_filter, filter, |text| {
                (!text.is_empty() && EnvFilter::try_new(text).is_ok()).then(|| text.to_owned())
            }),
            evidence: reader.optional_text("telemetry.evidence").map(PathBuf::from),
            otlp_endpoint: reader.optional_parsed("telemetry.otlp_endpoint", endpoint, collector),
            otlp_headers: reader.secret("telemetry.otlp_headers"),
            trace_ratio: reader.find("telemetry.trace_ratio", "a number from 0 to 1, such as 0.1", |value| {
                TraceRatio::parse(&value.scalar()?)
            }),
            trace_keys: reader.flag("telemetry.trace_keys", default.trace_keys),
        };
        settings.check(reader);
        settings
    }

    fn check(&self, reader: &mut Reader) {
        let key = "telemetry.otlp_headers";
        let Some(headers) = &self.otlp_headers else { return };
        let is_pair = |pair: &str| pair.split_once('=').is_some_and(|(name, _)| !name.trim().is_empty());
        if !headers.reveal().split(',').all(|pair| is_pair(pair) || pair.trim().is_empty()) {
            reader.problem(key, "allowed are `name=value` pairs with commas between them");
        }
        if self.otlp_endpoint.as_ref().is_some_and(|endpoint| endpoint.starts_with("http:")) {
            reader.warn(format!(
                "telemetry.otlp_endpoint is not encrypted: whoever is on the way can read {key}"
            ));
        }
    }
}

/// Credentials belong into the headers, where nobody shows them.
fn collector(text: &str) -> Option<String> {
    let text = text.trim();
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"))?;
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let plain =
        !host.is_empty() && !text.contains(['@', '?', '#']) && text.chars().all(|c| c.is_ascii_graphic());
    plain.then(|| text.to_owned())
}

/// A share from 0 to 1, to the millionth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceRatio(u32);

impl TraceRatio {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Everything.
    pub const ALL: Self = Self(Self::WHOLE);
    /// As many parts has everything.
    pub const WHOLE: u32 = 1_000_000;

    /// Reads a number such as `0.1`; `None` where it is none, or not from 0 to 1.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is from 0 to a million by then"
    )]
    pub fn parse(text: &str) -> Option<Self> {
        let number: f64 = text.trim().parse().ok()?;
        (0.0..=1.0).contains(&number).then(|| Self((number * f64::from(Self::WHOLE)).round() as u32))
    }

    /// How many parts it has of [`WHOLE`](Self::WHOLE).
    #[must_use]
    pub fn parts(self) -> u32 {
        self.0
    }
}

impl fmt::Display for TraceRatio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (f64::from(self.0) / f64::from(Self::WHOLE)).fmt(f)
    }
}
