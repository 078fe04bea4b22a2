//! A partition whose records are taken in by a thread that polls and by its batches, all of them on real threads.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering::SeqCst},
    },
    thread::{self, JoinHandle, Thread},
    time::{Duration, Instant},
};

use super::*;
use crate::{
    Routes,
    pipeline::{Bounds, Feed, Fetched},
    prelude::*,
};

const RECORDS: i64 = 20_000;
const KEYS: i64 = 7;
const SHARE: Bounds = Bounds { records: 1_000, bytes: usize::MAX };

/// Says of each key which offsets it has handled. Now and then it waits.
struct Note(Arc<Mutex<BTreeMap<String, Vec<i64>>>>);

impl Handler for Note {
    const NAME: &'static str = "note";
    type Event = i64;

    fn dedupe_key(&self, event: &i64, _: &Metadata) -> DedupeKey {
        DedupeKey::of(event.to_string())
    }

    async fn handle(&self, event: &i64, ctx: &Context) -> Outcome {
        if event % 1_500 == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let key = String::from_utf8_lossy(ctx.meta().key.as_deref().unwrap_or_default()).into_owned();
        self.0.lock().unwrap().entry(key).or_default().push(*event);
        done()
    }
}

/// All records, from the beginning: nothing else wakes up the thread that polls.
#[derive(Debug)]
struct Log {
    next: AtomicI64,
    end: AtomicI64,
    poller: Mutex<Option<Thread>>,
    /// Records that were asked for by other threads than the one that polls.
    by_batches: AtomicUsize,
    is_closed: AtomicBool,
    after_the_end: AtomicUsize,
}

impl Log {
    fn of(records: i64) -> Arc<Log> {
        Arc::new(Log {
            next: AtomicI64::new(0),
            end: AtomicI64::new(records),
            poller: Mutex::default(),
            by_batches: AtomicUsize::new(0),
            is_closed: AtomicBool::new(false),
            after_the_end: AtomicUsize::new(0),
        })
    }
}

impl Feed for Log {
    fn take(&self, room: Bounds, to: &mut dyn FnMut(Vec<Arc<Record>>)) {
        self.after_the_end.fetch_add(usize::from(self.is_closed.load(SeqCst)), SeqCst);
        let end = self.end.load(SeqCst);
        let most = i64::try_from(room.records.min(100)).unwrap();
        let from = self.next.fetch_add(most, SeqCst).min(end);
        let records: Vec<_> = (from..end.min(from + most)).map(|offset| Arc::new(record(offset))).collect();
        if self.poller.lock().unwrap().as_ref().is_none_or(|poller| poller.id() != thread::current().id()) {
            self.by_batches.fetch_add(records.len(), SeqCst);
        }
        // Whoever comes second has every chance to come first.
        thread::sleep(Duration::from_micros(200));
        if !records.is_empty() {
            to(records);
        }
    }

    fn wake(&self) {
        self.poller.lock().unwrap().as_ref().inspect(|poller| poller.unpark());
    }
}

fn record(offset: i64) -> Record {
    let (key, value) = (Some(format!("{}", offset % KEYS).into()), Some(offset.to_string().into()));
    Record { topic: "notes".into(), partition: 0, offset, timestamp: None, key, value, headers: vec![] }
}

/// The partition, and what its handler notes.
fn start() -> (Process, Arc<Partition>, Arc<Mutex<BTreeMap<String, Vec<i64>>>>) {
    let noted = Arc::default();
    let service = Service::new("notes").routes(Routes::new().on("notes", Note(Arc::clone(&noted))));
    let process = Process::start(&service, &Settings::default(), &World::new());
    let topic = Arc::clone(&process.topics["notes"]);
    let partition = Partition::new(topic, 0, EPOCH, 0, Handle::current());
    (process, partition, noted)
}

/// Polls until the partition stops. Sleeps until it is woken up when there is nothing for it to do.
fn poll(partition: &Arc<Partition>, log: &Arc<Log>) -> JoinHandle<()> {
    let (partition, log) = (Arc::clone(partition), Arc::clone(log));
    thread::spawn(move || {
        *log.poller.lock().unwrap() = Some(thread::current());
        let feed: Arc<dyn Feed> = log;
        while !partition.is_stopping() {
            match partition.fetch(&feed, SHARE) {
                Fetched::Nothing => thread::park(),
                Fetched::Full => thread::sleep(Duration::from_millis(1)),
                Fetched::Some => {}
            }
        }
    })
}

async fn until(what: &str, reached: impl Fn() -> bool) {
    let began = Instant::now();
    while !reached() {
        assert!(began.elapsed() < Duration::from_secs(60), "waited for {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_overtakes_another_and_nothing_is_left_behind() {
    let (_process, partition, noted) = start();
    let log = Log::of(RECORDS);
    let poller = poll(&partition, &log);
    until("every record to be settled", || partition.watermark() == RECORDS).await;
    partition.stop();
    log.wake();
    poller.join().unwrap();

    let of = |key: i64| (0..RECORDS).filter(|offset| offset % KEYS == key).collect::<Vec<_>>();
    let expected: BTreeMap<_, _> = (0..KEYS).map(|key| (key.to_string(), of(key))).collect();
    assert!(*noted.lock().unwrap() == expected, "each once, in the order of its key");
    assert!(log.by_batches.load(SeqCst) > 0, "batches take records in");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_that_has_stopped_takes_nothing_from_its_feed() {
    let (_process, partition, _) = start();
    let log = Log::of(i64::MAX);
    let poller = poll(&partition, &log);
    until("batches to take records in", || log.by_batches.load(SeqCst) > 1_000).await;
    partition.stop();
    log.is_closed.store(true, SeqCst);
    log.wake();
    poller.join().unwrap();
    partition.stopped().await;
    assert_eq!(log.after_the_end.load(SeqCst), 0);
}
