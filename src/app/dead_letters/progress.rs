//! How many letters were dealt with: on a terminal while it goes on, elsewhere a line now and then. Both on standard error.

use std::{
    io::IsTerminal,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::watch;

/// Between two lines.
const LINE: Duration = Duration::from_secs(2);

/// Shows the news until nobody has any more.
pub(super) async fn show(mut news: watch::Receiver<u64>) {
    let bar = std::io::stderr().is_terminal().then(|| {
        // Without the style it looks different and says the same.
        let style = ProgressStyle::with_template("{spinner:.green} {pos} letters {per_sec} {elapsed}");
        ProgressBar::new_spinner().with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
    });
    let mut last = Instant::now();
    while news.changed().await.is_ok() {
        let done = *news.borrow_and_update();
        match &bar {
            Some(bar) => bar.set_position(done),
            None if last.elapsed() >= LINE => {
                last = Instant::now();
                eprintln!("{done} letter{}", if done == 1 { "" } else { "s" });
            }
            None => {}
        }
    }
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
}
