//! How far a replay is: a bar on a terminal, a line now and then elsewhere. Both on standard error.

use std::{
    io::IsTerminal,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::watch;

use crate::replay::Entry;

/// Between two lines.
const LINE: Duration = Duration::from_secs(2);

/// Shows the news until nobody has any more.
pub(super) async fn show(mut news: watch::Receiver<Entry>) {
    let (done, all) = news.borrow().progress();
    let bar = std::io::stderr().is_terminal().then(|| bar(all, done));
    let mut last = Instant::now();
    while news.changed().await.is_ok() {
        let entry = news.borrow_and_update().clone();
        let (done, all) = entry.progress();
        match &bar {
            Some(bar) => {
                bar.set_position(done);
                bar.set_message(format!("{} ran", entry.tally().ran));
            }
            None if last.elapsed() >= LINE => {
                last = Instant::now();
                eprintln!("{done} of {all} offsets, {} ran", entry.tally().ran);
            }
            None => {}
        }
    }
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
}

fn bar(all: u64, done: u64) -> ProgressBar {
    let template = "{wide_bar:.green/dim} {pos}/{len} {per_sec} {eta} {msg}";
    // Without the style it looks different and says the same.
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(all).with_style(style.progress_chars("━━─")).with_position(done)
}
