//! The thread that writes notes into their file.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::Path,
    sync::{
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    time::{Duration, SystemTime},
};

use serde::Serialize;

use super::Note;

/// Notes that wait for the file. What comes while it is full is lost, counted and said: work does not wait.
const QUEUE: usize = 65_536;
/// Lines are written together, up to so many bytes.
const CHUNK: usize = 64 * 1_024;
/// How long a worker that ends waits for its file.
const FLUSH: Duration = Duration::from_secs(5);

enum Message {
    Line(Vec<u8>),
    Flush(SyncSender<()>),
}

/// Takes notes, from any thread.
#[derive(Debug)]
pub(super) struct Writer {
    /// Tells this start of the process from every other.
    worker: String,
    sequence: AtomicU64,
    lost: AtomicU64,
    lines: SyncSender<Message>,
}

/// A note, and who says it when.
#[derive(Serialize)]
struct Line<'a> {
    worker: &'a str,
    pid: u32,
    /// Counts the notes of this worker; those that are lost leave a gap.
    sequence: u64,
    /// Microseconds since 1970.
    at: u64,
    #[serde(flatten)]
    note: &'a Note<'a>,
}

impl Writer {
    pub(super) fn start(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let (lines, queue) = sync_channel(QUEUE);
        std::thread::Builder::new().name("evidence".to_owned()).spawn(move || write_all(file, &queue))?;
        let worker = format!("{:016x}", rand::random::<u64>());
        Ok(Self { worker, sequence: AtomicU64::new(0), lost: AtomicU64::new(0), lines })
    }

    pub(super) fn write(&self, note: &Note<'_>) {
        let sequence = self.sequence.fetch_add(1, Relaxed);
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let at = u64::try_from(since_1970.as_micros()).unwrap_or(u64::MAX);
        let line = Line { worker: &self.worker, pid: std::process::id(), sequence, at, note };
        let Ok(mut line) = serde_json::to_vec(&line) else { return };
        line.push(b'\n');
        if let Err(TrySendError::Full(_)) = self.lines.try_send(Message::Line(line)) {
            let before = self.lost.fetch_add(1, Relaxed);
            if (before + 1).is_power_of_two() {
                tracing::warn!(lost = before + 1, "evidence is lost: its file is slower than the work");
            }
        }
    }

    pub(super) fn flush(&self) {
        let (written, wait) = sync_channel(1);
        if self.lines.send(Message::Flush(written)).is_ok() && wait.recv_timeout(FLUSH).is_err() {
            tracing::warn!("the last of the evidence is not in its file");
        }
    }
}

/// Whole lines in one write, so that processes may share a file.
fn write_all(mut file: File, queue: &Receiver<Message>) {
    let mut is_broken = false;
    while let Ok(first) = queue.recv() {
        let (mut chunk, mut flushed) = (Vec::with_capacity(CHUNK), None);
        let mut next = Some(first);
        while let Some(message) = next {
            match message {
                Message::Line(line) => chunk.extend_from_slice(&line),
                Message::Flush(written) => flushed = Some(written),
            }
            next = if chunk.len() < CHUNK && flushed.is_none() { queue.try_recv().ok() } else { None };
        }
        if let Err(error) = file.write_all(&chunk)
            && !std::mem::replace(&mut is_broken, true)
        {
            tracing::error!(%error, "evidence cannot be written");
        }
        if let Some(written) = flushed {
            // Whoever asked may have given up waiting.
            written.send(()).unwrap_or(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        evidence::Happened,
        store::{Held, KeySpace, OwnerFactory},
    };

    #[test]
    fn lines_are_whole_in_order_and_hold_no_key_in_clear() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("evidence.jsonl");
        let writer = Writer::start(&path).unwrap();
        let held = Held {
            key: KeySpace::new("t", "payments", "charge").key("pay-of-ann"),
            owner: OwnerFactory::new().delivery(1, "orders", 2, 7),
            token: 9,
            hop: 0,
        };
        for offset in 0..1_000 {
            writer.write(&Note { epoch: Some(3), ..Note::at(Happened::Settled, ("orders", 2), offset) });
        }
        writer.write(&Note { outcome: Some("recorded"), ..Note::held(Happened::Completed, &held) });
        writer.flush();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains("ann"), "a key in clear");
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 1_001);
        for (at, line) in lines.iter().enumerate() {
            assert_eq!(line["sequence"], at);
        }
        assert_eq!(lines[7]["happened"], "settled");
        assert_eq!((&lines[7]["topic"], &lines[7]["offset"]), (&"orders".into(), &7.into()));
        let last = &lines[1_000];
        assert_eq!(last["key"], format!("{:032x}", held.key.digest()));
        assert_eq!((&last["token"], &last["outcome"]), (&9.into(), &"recorded".into()));
        assert!(last.get("topic").is_none());
    }
}
