//! What `pause`, `resume` and `status` are told.

use std::time::Duration;

use humantime::parse_duration;

#[derive(Debug, clap::Args)]
pub(in crate::app) struct Pause {
    /// The service
    #[arg(long, value_name = "NAME")]
    pub(super) service: String,
    /// Only this handler, on whichever topic
    #[arg(long, value_name = "NAME")]
    pub(super) handler: Option<String>,
    /// Why; shown to whoever asks
    #[arg(long, value_name = "TEXT")]
    pub(super) reason: Option<String>,
    /// How long the pods may take to say that they have heard
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_duration)]
    pub(super) wait: Duration,
    /// Prints one line of JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, clap::Args)]
pub(in crate::app) struct Resume {
    /// The service
    #[arg(long, value_name = "NAME")]
    pub(super) service: String,
    /// Only this handler
    #[arg(long, value_name = "NAME")]
    pub(super) handler: Option<String>,
    /// Everything of it that is paused, its topics and handlers too
    #[arg(long)]
    pub(super) all: bool,
    /// How long the pods may take to say that they have heard
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_duration)]
    pub(super) wait: Duration,
    /// Prints one line of JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, clap::Args)]
pub(in crate::app) struct Status {
    /// Shows this service only; repeatable
    #[arg(long, value_name = "NAME")]
    pub(in crate::app) service: Vec<String>,
    /// Prints one line of JSON
    #[arg(long)]
    pub(super) json: bool,
}
