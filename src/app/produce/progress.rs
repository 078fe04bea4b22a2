//! How far it is: a bar on a terminal, a line a second elsewhere. Both on standard error, so that standard output holds
//! nothing but the summary.

use std::{
    io::IsTerminal,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

/// Between two lines.
const LINE: Duration = Duration::from_secs(1);

pub(super) enum Progress {
    Bar(ProgressBar),
    Lines { count: u64, last: Instant },
}

impl Progress {
    pub(super) fn new(count: u64) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self::Lines { count, last: Instant::now() };
        }
        let template = "{wide_bar:.green/dim} {pos}/{len} {per_sec} {eta}";
        // Without the style it looks different and says the same.
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        Self::Bar(ProgressBar::new(count).with_style(style.progress_chars("━━─")))
    }

    pub(super) fn show(&mut self, acknowledged: u64) {
        match self {
            Self::Bar(bar) => bar.set_position(acknowledged),
            Self::Lines { count, last } => {
                if last.elapsed() >= LINE {
                    *last = Instant::now();
                    eprintln!("{acknowledged} of {count} records acknowledged");
                }
            }
        }
    }

    pub(super) fn leave(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}
