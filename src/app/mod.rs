//! The binary of a team: one call in `main`, and every verb is there.

mod args;
mod check;
mod config;
mod dead_letters;
mod dedupe;
mod demo;
#[cfg(test)]
mod documented;
mod fleet;
mod inspect;
mod mistyped;
mod new;
mod operator;
mod probe;
mod produce;
mod replay;
mod rewind;
mod run;
mod services;
mod signals;

use std::{fmt, future::Future, process::ExitCode};

use tokio::runtime::{Builder, Handle, Runtime};

pub use demo::{Demo, DemoCounts, DemoRecord, Prepare};
pub use produce::{Produce, ProduceKind, ProduceRecipe, ProduceRecord, ProduceRecords};

use self::args::{Args, Verb};
use crate::{
    BoxError, Service,
    config::{self as configuration, AppConfig, Loaded, Sources, TelemetrySettings},
    erased::BoxFuture,
    evidence,
    pipeline::log_places_only,
    telemetry::{self, spans},
};

/// Everything was fine.
const FINE: u8 = 0;
/// Something failed.
const FAILED: u8 = 1;
/// The command line or the configuration is wrong.
const USAGE: u8 = 2;
/// The drain deadline cut something off.
const CUT_OFF: u8 = 3;
/// Interrupted twice.
const INTERRUPTED: u8 = 130;

/// Makes the services from the application's own configuration.
type Build<C> = dyn Fn(C) -> BoxFuture<Result<Vec<Service>, BoxError>>;

/// A binary that holds services.
///
/// ```no_run
/// # async fn services(_: ()) -> Result<Vec<oncewise::Service>, oncewise::BoxError> { Ok(vec![]) }
/// fn main() -> std::process::ExitCode {
///     oncewise::App::new(services).main()
/// }
/// ```
pub struct App<C> {
    build: Box<Build<C>>,
    demo: Option<Demo<C>>,
    produce: Option<Produce<C>>,
}

impl<C: AppConfig + Clone + 'static> App<C> {
    /// A binary whose services `build` makes from the application's own configuration.
    pub fn new<F, Fut, E>(build: F) -> Self
    where
        F: Fn(C) -> Fut + 'static,
        Fut: Future<Output = Result<Vec<Service>, E>> + Send + 'static,
        E: Into<BoxError>,
    {
        let build = move |config| -> BoxFuture<_> {
            let services = build(config);
            Box::pin(async move { services.await.map_err(Into::into) })
        };
        Self { build: Box::new(build), demo: None, produce: None }
    }

    /// What `demo` shows.
    #[must_use]
    pub fn demo(mut self, demo: Demo<C>) -> Self {
        self.demo = Some(demo);
        self
    }

    /// What `produce` sends.
    #[must_use]
    pub fn produce(mut self, produce: Produce<C>) -> Self {
        self.produce = Some(produce);
        self
    }

    /// Does what the command line says.
    #[must_use]
    pub fn main(self) -> ExitCode {
        let args = mistyped::parse();
        // No configuration that is there already is the new project's.
        if let Verb::New(args) = &args.verb {
            return new::run(args);
        }
        let sources = Sources::new(args.flags(), std::env::vars_os());
        let loaded = match configuration::load::<C>(&sources) {
            Ok(loaded) => loaded,
            Err(problems) => return refuse(problems),
        };
        let TelemetrySettings { log_format, log_filter, evidence, .. } = &loaded.settings.telemetry;
        // What these verbs print says all there is to say: a log would run over it, unless somebody asks for one.
        let speaks = !matches!(args.verb, Verb::Run { .. });
        let quiet = speaks && !loaded.settings.asks_for_logs();
        if let Err(error) = telemetry::init(*log_format, if quiet { "error" } else { log_filter }) {
            return refuse(error);
        }
        log_places_only();
        if let (Some(path), Verb::Run { .. } | Verb::Replay(_)) = (evidence, &args.verb)
            && let Err(error) = evidence::open(path)
        {
            return refuse(format!(
                "telemetry.evidence = {path:?}: the file cannot be written ({error}); give one that can, or none"
            ));
        }
        if let Some(name) = args.traced_as(&loaded.settings.kafka.client_id)
            && let Err(problem) =
                spans::open(&loaded.settings.telemetry, &loaded.settings.kafka.client_id, name)
        {
            return refuse(problem);
        }
        // Handlers that block every thread of theirs must not keep this one from signals and deadlines.
        let (handlers, own) = match (Runtime::new(), Builder::new_current_thread().enable_all().build()) {
            (Ok(handlers), Ok(own)) => (handlers, own),
            (Err(error), _) | (_, Err(error)) => return failed(format!("no runtime: {error}")),
        };
        let code = own.block_on(self.act(args, loaded, handlers.handle()));
        // Nor may they keep a finished process alive.
        handlers.shutdown_background();
        evidence::flush();
        spans::flush();
        code
    }

    async fn act(&self, args: Args, loaded: Loaded<C>, handlers: &Handle) -> ExitCode {
        let targets = args.targets();
        match args.verb {
            Verb::New(args) => new::run(&args),
            Verb::Config => config::show(&loaded.settings),
            Verb::Demo { orders } => match &self.demo {
                Some(demo) => demo::run(demo, &self.build, loaded, orders, handlers).await,
                None => failed("this binary has no demo"),
            },
            Verb::Run { service } => {
                loaded.settings.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
                match self.services(&loaded, &service, handlers).await {
                    Ok(services) => run::run(&loaded.settings, &services, handlers).await,
                    Err(code) => code,
                }
            }
            Verb::Probe { probe } => probe::run(&loaded.settings, probe).await,
            Verb::Produce(args) => match &self.produce {
                Some(produce) => produce::run(produce, &loaded, &args, &targets).await,
                None => failed("this binary has nothing to produce"),
            },
            Verb::Dedupe(args) => match self.services(&loaded, &[], handlers).await {
                Ok(services) => dedupe::run(&loaded.settings, &services, &args).await,
                Err(code) => code,
            },
            Verb::DeadLetters(args) => match self.services(&loaded, &[], handlers).await {
                Ok(services) => dead_letters::run(&loaded.settings, &services, &args, &targets).await,
                Err(code) => code,
            },
            Verb::Replay(args) => match self.services(&loaded, &[], handlers).await {
                Ok(services) => replay::run(&loaded.settings, &services, &args, &targets, handlers).await,
                Err(code) => code,
            },
            Verb::Rewind(args) => match self.services(&loaded, &[], handlers).await {
                Ok(services) => rewind::run(&loaded.settings, &services, &args, &targets, handlers).await,
                Err(code) => code,
            },
            Verb::Pause(args) => match self.services(&loaded, &[], handlers).await {
                Ok(services) => fleet::pause(&loaded.settings, &services, &args, &targets).await,
                Err(code) => code,
            },
            Verb::Resume(args) => match self.services(&loaded, &[], handlers).await {
                Ok(services) => fleet::resume(&loaded.settings, &services, &args, &targets).await,
                Err(code) => code,
            },
            Verb::Status(args) => match self.services(&loaded, &args.service, handlers).await {
                Ok(services) => fleet::status(&loaded.settings, &services, &args).await,
                Err(code) => code,
            },
            Verb::Check(args) => match self.services(&loaded, &args.service, handlers).await {
                Ok(services) => check::run(&loaded.settings, &services, &args).await,
                Err(code) => code,
            },
        }
    }

    async fn services(
        &self,
        loaded: &Loaded<C>,
        wanted: &[String],
        handlers: &Handle,
    ) -> Result<Vec<Service>, ExitCode> {
        let services = services::built(&self.build, loaded.app.clone(), handlers);
        let services = services.await.map_err(|error| failed(with_causes(&*error)))?;
        services::chosen(services, &loaded.settings, wanted).map_err(|problems| refuse(problems.join("\n")))
    }
}

impl<C> fmt::Debug for App<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").finish_non_exhaustive()
    }
}

/// The command line or the configuration is wrong.
fn refuse(problem: impl fmt::Display) -> ExitCode {
    eprintln!("{problem}");
    ExitCode::from(USAGE)
}

fn failed(reason: impl fmt::Display) -> ExitCode {
    eprintln!("{reason}");
    ExitCode::from(FAILED)
}

/// An error and its causes in one line, without those whose words the error has already.
fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.map(ToString::to_string).fold(error.to_string(), |text, cause| {
        if text.contains(&cause) { text } else { format!("{text}: {cause}") }
    })
}
