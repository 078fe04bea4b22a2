//! What a worker is told from outside: `config/default.toml`, then `config/<profile>.toml`, then the
//! environment (`ONCEWISE__SECTION__KEY`), then flags.
//!
//! Every value has a default in the code, and a start names all problems at once. An application reads its
//! own sections through the same [`Reader`], so that its problems stand in the same list:
//!
//! ```
//! use oncewise::config::{self, AppConfig, Flags, Reader, Sources};
//!
//! struct Shop {
//!     opening_credit_cents: i64,
//! }
//!
//! impl AppConfig for Shop {
//!     fn read(reader: &mut Reader) -> Self {
//!         let key = "shop.opening_credit_cents";
//!         Self { opening_credit_cents: reader.integer_in(key, 1_000_000, 0..=i64::MAX) }
//!     }
//! }
//!
//! let environment = [("ONCEWISE__SHOP__OPENING_CREDIT_CENTS", "500"), ("ONCEWISE__DEDUPE__TTL", "4d")];
//! let sources = Sources::new(Flags::default(), environment).in_folder("no-such-folder");
//! let loaded = config::load::<Shop>(&sources)?;
//! assert_eq!(loaded.app.opening_credit_cents, 500);
//! assert_eq!(loaded.settings.dedupe.ttl.map(|ttl| ttl.as_secs()), Some(4 * 86_400));
//! # Ok::<(), config::Problems>(())
//! ```

mod problem;
mod reader;
mod reads;
mod secret;
mod secrets;
mod settings;
mod sources;
mod units;
mod value;

pub use problem::{Origin, Problem, Problems};
pub use reader::Reader;
pub use secret::{Secret, mask_url};
pub(crate) use settings::host_and_port;
pub(crate) use settings::is_topic;
pub use settings::{
    AdminSettings, BreakerSettings, DeadLetterSettings, DedupeSettings, HandlerSettings, HttpSettings,
    InstanceId, KafkaSettings, LedgerSettings, LogFormat, OnUnavailable, Ordering, Property, RedisMode,
    RedisSettings, RetryOverrides, ServiceSettings, Settings, StartFrom, TelemetrySettings, TopicsSettings,
    TraceRatio, WorkerSettings,
};
pub use sources::{Flags, Sources};

/// The sections of an application, read beside the framework's own.
pub trait AppConfig: Sized {
    /// Reads every key the application has, whatever is wrong with some of them.
    fn read(reader: &mut Reader) -> Self;
}

/// An application without settings of its own.
impl AppConfig for () {
    fn read(_: &mut Reader) -> Self {}
}

/// A configuration without problems.
#[derive(Debug, Clone)]
pub struct Loaded<C> {
    /// The framework's part.
    pub settings: Settings,
    /// The application's part.
    pub app: C,
}

/// Reads everything.
///
/// # Errors
///
/// All problems at once: values that are not allowed, unknown keys, files that cannot be read.
pub fn load<C: AppConfig>(sources: &Sources) -> Result<Loaded<C>, Problems> {
    let mut reader = Reader::new(sources.gather());
    let mut settings = Settings::read(&mut reader);
    let app = C::read(&mut reader);
    (settings.lines, settings.warnings) = reader.finish()?;
    Ok(Loaded { settings, app })
}

/// Reads one text and whatever durations and sizes it is.
#[cfg(feature = "fuzzing")]
pub(crate) fn fuzz(text: &str) {
    let shown = units::duration(text).map(units::show_duration);
    assert!(shown.is_none_or(|shown| units::duration(&shown) == units::duration(text)), "{text:?}");
    let shown = units::size(text).map(units::show_size);
    assert!(shown.is_none_or(|shown| units::size(&shown) == units::size(text)), "{text:?}");
    let mut reader = Reader::new(sources::of_text(text));
    let mut settings = Settings::read(&mut reader);
    match reader.finish() {
        Ok((lines, _)) => {
            settings.lines = lines;
            drop(settings.render());
        }
        Err(problems) => assert!(!problems.to_string().is_empty()),
    }
}

#[cfg(test)]
mod tests;
