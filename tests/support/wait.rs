//! Waiting for something outside this process: the only place in the tests that sleeps.

use std::fmt::Debug;
use std::time::{Duration, Instant};

/// Asks `probe` every 50 ms until it answers `Ok`, which is returned.
///
/// Its `Err` is the state as seen: when `deadline` has passed, the panic names `what` and the last of them.
pub async fn until<T, S: Debug>(
    what: &str,
    deadline: Duration,
    mut probe: impl AsyncFnMut() -> Result<T, S>,
) -> T {
    let began = Instant::now();
    loop {
        match probe().await {
            Ok(answer) => return answer,
            Err(seen) if began.elapsed() >= deadline => {
                panic!("waited {deadline:?} for {what}; last seen: {seen:?}")
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}
