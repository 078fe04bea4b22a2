//! How far a demo is: bars on a terminal, lines elsewhere.

use std::{
    io::IsTerminal,
    time::{Duration, Instant},
};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::telemetry::ServiceMetrics;

/// Between two looks.
const TURN: Duration = Duration::from_millis(100);
/// Turns between two lines, where there is no terminal.
const LINE: u32 = 10;

/// A service, and how many records it has to settle.
pub(super) type Watched<'a> = (&'a str, ServiceMetrics, u64);

/// Waits until each service has settled all of its records; answers how long that took from the first of them on.
pub(super) async fn until_settled(services: &[Watched<'_>]) -> Duration {
    let bars = Bars::new(services);
    let mut began = None;
    let mut turns = tokio::time::interval(TURN);
    for turn in 0.. {
        turns.tick().await;
        let settled: Vec<u64> = services.iter().map(|(_, metrics, _)| metrics.totals().settled()).collect();
        if settled.iter().any(|settled| *settled > 0) {
            began.get_or_insert_with(Instant::now);
        }
        if services.iter().zip(&settled).all(|((_, _, count), settled)| settled >= count) {
            bars.show(&settled);
            break;
        }
        match began {
            Some(_) => bars.show(&settled),
            None => bars.wait(),
        }
        if bars.on_terminal {
            continue;
        }
        if began.is_some() && turn % LINE == 0 {
            println!("{}", line(services, &settled));
        } else if turn == 0 {
            println!("{WAITING}");
        }
    }
    bars.leave();
    began.map_or(Duration::ZERO, |began| began.elapsed())
}

fn line(services: &[Watched<'_>], settled: &[u64]) -> String {
    let far =
        services.iter().zip(settled).map(|((name, _, count), settled)| format!("{name} {settled}/{count}"));
    far.collect::<Vec<_>>().join("   ")
}

const WAITING: &str = "The services join their groups, which takes some three seconds.";

struct Bars {
    waiting: ProgressBar,
    bars: Vec<ProgressBar>,
    on_terminal: bool,
}

impl Bars {
    fn new(services: &[Watched<'_>]) -> Self {
        let all = MultiProgress::new();
        let style = |template: &str| {
            // Without the style it looks different and says the same.
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
        };
        let width = services.iter().map(|(name, ..)| name.len()).max().unwrap_or(0);
        let bar_style = style("  {prefix} {wide_bar:.green/dim} {pos:>6}/{len}").progress_chars("━━─");
        let bars = services.iter().map(|(name, _, count)| {
            let bar = all.add(ProgressBar::new(*count)).with_style(bar_style.clone());
            bar.with_prefix(format!("{name:width$}"))
        });
        let bars = bars.collect();
        let waiting =
            all.add(ProgressBar::new_spinner()).with_style(style("{spinner} {msg}")).with_message(WAITING);
        Self { waiting, bars, on_terminal: std::io::stderr().is_terminal() }
    }

    fn wait(&self) {
        self.waiting.tick();
    }

    fn show(&self, settled: &[u64]) {
        self.waiting.finish_and_clear();
        self.bars.iter().zip(settled).for_each(|(bar, settled)| bar.set_position(*settled));
    }

    fn leave(&self) {
        self.bars.iter().for_each(ProgressBar::abandon);
        if self.on_terminal {
            // The last bar ends without a line break.
            eprintln!();
        }
    }
}
