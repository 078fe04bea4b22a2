//! Takes a sample each five seconds for as long as it is polled.

use std::sync::Arc;

use tokio::time::{MissedTickBehavior, interval};

use super::{Watched, history::EVERY};

pub(in crate::admin) async fn sample(watched: Arc<Watched>) {
    let mut turns = interval(EVERY);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        turns.tick().await;
        watched.sample();
    }
}
