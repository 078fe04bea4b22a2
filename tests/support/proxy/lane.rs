//! One direction of one connection.

use std::future::pending;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::faults::{Direction, End, Faults};

/// What is read at once.
const READ: usize = 64 * 1024;
/// Of these, so many may be on their way.
const UNDER_WAY: usize = 8;
/// Between two slices, or the kernel would put them together again.
const APART: Duration = Duration::from_millis(1);

pub(super) struct Lane {
    pub(super) direction: Direction,
    pub(super) number: u64,
    pub(super) faults: watch::Receiver<Faults>,
}

/// Carries bytes until one side closes. They are read as they come, so that a latency is none for those behind.
pub(super) async fn carry(mut lane: Lane, mut from: ReadHalf<'_>, mut to: WriteHalf<'_>) -> End {
    let (queue, mut arriving) = mpsc::channel(UNDER_WAY);
    let read = async move {
        let mut buffer = vec![0; READ];
        while let Ok(read @ 1..) = from.read(&mut buffer).await {
            if queue.send((Instant::now(), buffer[..read].to_vec())).await.is_err() {
                break;
            }
        }
        drop(queue);
        pending().await
    };
    let write = async {
        let mut said = 0;
        while let Some((came, bytes)) = arriving.recv().await {
            if lane.deliver(came, bytes, &mut said, &mut to).await.is_none() {
                break;
            }
        }
    };
    tokio::select! {
        () = read => End::Closed,
        () = write => End::Closed,
    }
}

impl Lane {
    /// Delivers what came then, or not; `said` counts the bytes of replies. `None` when the connection is to end.
    async fn deliver(
        &mut self,
        came: Instant,
        mut bytes: Vec<u8>,
        said: &mut usize,
        to: &mut WriteHalf<'_>,
    ) -> Option<()> {
        let direction = self.direction;
        let faults = self.faults.wait_for(|faults| !faults.held[direction as usize]).await.ok()?.clone();
        sleep_until(came + faults.latency).await;
        if self.faults.borrow().swallows(direction, self.number) {
            return Some(());
        }
        let mut is_cut = false;
        if direction == Direction::Back {
            shift_time(&mut bytes, faults.ahead);
            if let Some(allowed) = faults.replies {
                let left = allowed.saturating_sub(*said);
                is_cut = bytes.len() > left;
                bytes.truncate(left);
            }
            *said += bytes.len();
        }
        // A piece of a tenth of a second's worth, so that a slow wire is slow, and not still.
        let rate = faults.bytes_per_second.map(|rate| rate.max(10) as usize);
        let piece = faults.slice.unwrap_or(READ).min(rate.map_or(READ, |rate| rate / 10)).max(1);
        for part in bytes.chunks(piece) {
            match rate {
                Some(rate) => sleep(Duration::from_secs_f64(part.len() as f64 / rate as f64)).await,
                None if faults.slice.is_some() => sleep(APART).await,
                None => {}
            }
            to.write_all(part).await.ok()?;
        }
        (!is_cut).then_some(())
    }
}

/// Seconds of ten digits, and microseconds: what else has two words, of which the first has ten bytes, is no number.
fn shift_time(said: &mut [u8], seconds: i64) {
    let before = b"*2\r\n$10\r\n";
    let Some(at) = said.windows(before.len()).position(|part| part == before) else { return };
    let Some(digits) = said[at + before.len()..].get_mut(..10) else { return };
    let Some(now) = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<i64>().ok()) else {
        return;
    };
    digits.copy_from_slice((now + seconds).to_string().as_bytes());
}
