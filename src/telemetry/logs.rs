//! Logs to standard error, as text for people or as JSON for machines.

use std::fmt;
use std::io::{self, IsTerminal};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tracing::Dispatch;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::fmt::{MakeWriter, SubscriberBuilder};
use tracing_subscriber::util::SubscriberInitExt;

use super::log_fields::SafeFields;

/// What is logged unless told otherwise: librdkafka is heard only when something is wrong.
pub const DEFAULT_FILTER: &str = "info,librdkafka=warn,rdkafka=warn";

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people: time, level, where, what; in colours on a terminal.
    #[default]
    Text,
    /// For machines: one JSON object a line.
    Json,
}

/// Why the log could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter cannot be read.
    #[error(
        "the log filter {filter:?} is wrong: {reason}; allowed are a level (off, error, warn, info, debug, trace) \
         and levels for targets, separated by commas, as in \"info,oncewise=debug\""
    )]
    Filter {
        /// The whole filter.
        filter: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Somebody has set up a log in this process before.
    #[error("the log is set up already: {0}")]
    Taken(#[from] tracing_subscriber::util::TryInitError),
}

/// Sends the process's log to standard error, with the records of libraries that use the `log` crate. To be called once,
/// by `main`.
///
/// # Errors
/// When the filter is wrong, or when a log is set up already.
pub fn init(format: LogFormat, filter: &str) -> Result<(), LogError> {
    let colours =
        io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    Ok(subscriber(format, filter, colours, io::stderr)?.try_init()?)
}

fn subscriber<W>(format: LogFormat, filter: &str, colours: bool, writer: W) -> Result<Dispatch, LogError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = SubscriberBuilder::default()
        .with_env_filter(parse_filter(filter)?)
        .with_timer(UtcMillis)
        .with_ansi(colours)
        .with_writer(writer);
    Ok(match format {
        LogFormat::Text => lines.fmt_fields(SafeFields).into(),
        LogFormat::Json => lines.json().with_span_list(false).into(),
    })
}

/// Stricter than the library, which takes a mistyped level for a target and then logs nothing else.
fn parse_filter(filter: &str) -> Result<EnvFilter, LogError> {
    let wrong = |reason: String| LogError::Filter { filter: filter.to_owned(), reason };
    if filter.trim().is_empty() {
        return Err(wrong("it is empty".to_owned()));
    }
    let mut words = filter.split(',').map(str::trim).filter(|word| !word.contains(['=', '[', ']', '{', '}']));
    if let Some(word) = words.find(|word| word.parse::<LevelFilter>().is_err()) {
        return Err(wrong(format!("{word:?} is not a level")));
    }
    EnvFilter::builder().parse(filter).map_err(|error| wrong(error.to_string()))
}

/// Time of day in UTC to the millisecond: `2026-07-04T12:30:00.125Z`.
struct UtcMillis;

impl FormatTime for UtcMillis {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        write!(writer, "{:.3}", Timestamp::now())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, filter: &str, colours: bool, log: impl FnOnce()) -> String {
        let buffer = Buffer::default();
        let writer = buffer.clone();
        let subscriber = subscriber(format, filter, colours, move || writer.clone()).unwrap();
        tracing::dispatcher::with_default(&subscriber, log);
        String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap()
    }

    fn settle() {
        let span = tracing::info_span!("record", topic = "orders.created", partition = 3);
        span.in_scope(|| tracing::info!(handler = "charge", "settled"));
    }

    #[test]
    fn text_reads_as_a_line() {
        let line = logged(LogFormat::Text, "info", false, settle);
        let (time, rest) = line.split_once(' ').unwrap();
        assert!(time.ends_with('Z') && time.len() == "2026-07-04T12:30:00.125Z".len(), "{time}");
        assert!(time.parse::<Timestamp>().is_ok(), "{time}");
        assert_eq!(
            rest.trim_start(),
            "INFO record{topic=\"orders.created\" partition=3}: oncewise::telemetry::logs::tests: settled \
             handler=\"charge\"\n"
        );
    }

    #[test]
    fn json_has_one_object_a_line_with_the_fields_of_event_and_span() {
        let line = logged(LogFormat::Json, "info", true, settle);
        let object: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(object["level"], "INFO");
        assert_eq!(object["fields"]["message"], "settled");
        assert_eq!(object["fields"]["handler"], "charge");
        assert_eq!(object["span"]["topic"], "orders.created");
        assert_eq!(object["span"]["partition"], 3);
        assert!(object["timestamp"].as_str().unwrap().parse::<Timestamp>().is_ok());
    }

    #[test]
    fn colours_appear_only_where_asked_for() {
        assert!(!logged(LogFormat::Text, "info", false, settle).contains('\x1b'));
        assert!(logged(LogFormat::Text, "info", true, settle).contains('\x1b'));
    }

    #[test]
    fn an_error_text_cannot_forge_a_line() {
        let error = "refused\r\n2026-07-04T12:30:00.125Z  INFO all is well\x1b[2K";
        let refused = || {
            let _record = tracing::info_span!("record", %error).entered();
            tracing::warn!(%error, "{error}");
        };
        for format in [LogFormat::Text, LogFormat::Json] {
            let line = logged(format, "info", false, refused);
            assert!(!line.trim_end_matches('\n').contains(char::is_control), "{line}");
        }
        assert!(!logged(LogFormat::Text, "info", true, refused).contains("\x1b[2K"));
    }

    #[test]
    fn the_filter_chooses_by_level_and_target() {
        let log = || {
            tracing::debug!("ours");
            tracing::info!(target: "librdkafka", "chatter");
            tracing::warn!(target: "librdkafka", "trouble");
        };
        let by_default = logged(LogFormat::Text, DEFAULT_FILTER, false, log);
        assert!(!by_default.contains("ours") && !by_default.contains("chatter"), "{by_default}");
        assert!(by_default.contains("trouble"), "{by_default}");
        assert!(logged(LogFormat::Text, "info,oncewise=debug", false, log).contains("ours"));
        assert_eq!(logged(LogFormat::Text, "off", false, log), "");
    }

    #[test]
    fn a_wrong_filter_is_named_with_what_is_allowed() {
        for wrong in ["", "inof", "info,oncewise=loud", "oncewise", "info,[handle{"] {
            let error = subscriber(LogFormat::Text, wrong, false, io::sink).unwrap_err().to_string();
            assert!(error.starts_with(&format!("the log filter {wrong:?} is wrong: ")), "{error}");
            assert!(error.contains("\"info,oncewise=debug\""), "{error}");
        }
    }

    #[test]
    fn formats_have_lower_case_names() {
        let formats: Vec<LogFormat> = serde_json::from_str(r#"["text", "json"]"#).unwrap();
        assert_eq!(formats, [LogFormat::Text, LogFormat::Json]);
        assert!(serde_json::from_str::<LogFormat>("\"xml\"").is_err());
    }

    #[test]
    fn init_works_once_and_takes_the_log_crate_along() {
        init(LogFormat::Text, "off,librdkafka=warn").unwrap();
        assert!(matches!(init(LogFormat::Text, "off"), Err(LogError::Taken(_))));
        let line = logged(LogFormat::Text, "info", false, || log::warn!(target: "librdkafka", "broker down"));
        assert!(line.ends_with(" WARN librdkafka: broker down\n"), "{line}");
    }
}
