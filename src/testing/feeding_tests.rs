//! A partition whose records are taken in by a thread that polls and by its batches, all of them on real threads.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering::SeqCst},
    },
    thread::{self, JoinHandle, ThreadId},
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

/// Of each key, the offsets that were handled.
type Noted = Arc<Mutex<BTreeMap<String, Vec<i64>>>>;

/// Says of each key which offsets it has handled.
struct Note {
    noted: Noted,
    /// Now and then.
    waits: bool,
}

impl Handler for Note {
    const NAME: &'static str = "note";
    type Event = i64;

    fn dedupe_key(&self, event: &i64, _: &Metadata) -> DedupeKey {
        DedupeKey::of(event.to_string())
    }

    async fn handle(&self, event: &i64, ctx: &Context) -> Outcome {
        if self.waits && event % 1_500 == 0 {
            tokio::task::yield_now().await;
        }
        let key = String::from_utf8_lossy(ctx.meta().key.as_deref().unwrap_or_default()).into_owned();
        self.noted.lock().unwrap().entry(key).or_default().push(*event);
        done()
    }
}

/// All records, from the beginning.
#[derive(Debug)]
struct Log {
    next: AtomicI64,
    end: AtomicI64,
    poller: Mutex<Option<ThreadId>>,
    /// Records that were asked for by other threads than the one that polls.
    by_batches: AtomicUsize,
    /// Records that are lost on the way by a batch that panics, from this one on.
    lost: AtomicI64,
    /// The next batch that asks for records does.
    panics: AtomicBool,
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
            lost: AtomicI64::new(i64::MAX),
            panics: AtomicBool::new(false),
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
        if self.poller.lock().unwrap().as_ref().is_none_or(|poller| *poller != thread::current().id()) {
            let before = self.by_batches.fetch_add(records.len(), SeqCst);
            if before > 1_000 && self.panics.swap(false, SeqCst) {
                self.lost.store(from, SeqCst);
                panic!("records {from} and on are lost");
            }
        }
        // Whoever comes second has every chance to come first.
        thread::park_timeout(Duration::from_micros(200));
        if !records.is_empty() {
            to(records);
        }
    }
}

fn record(offset: i64) -> Record {
    let (key, value) = (Some((offset % KEYS).to_string().into()), Some(offset.to_string().into()));
    Record { topic: "notes".into(), partition: 0, offset, timestamp: None, key, value, headers: vec![] }
}

/// The partition, and what its handler notes.
fn start(waits: bool) -> (Process, Arc<Partition>, Noted) {
    let noted = Noted::default();
    let handler = Note { noted: Arc::clone(&noted), waits };
    let service = Service::new("notes").routes(Routes::new().on("notes", handler));
    let process = Process::start(&service, &Settings::default(), &World::new());
    let topic = Arc::clone(&process.topics["notes"]);
    let partition = Partition::new(topic, 0, EPOCH, 0, Handle::current());
    (process, partition, noted)
}

/// Polls until the partition stops.
fn poll(partition: &Arc<Partition>, log: &Arc<Log>) -> JoinHandle<()> {
    let (partition, log) = (Arc::clone(partition), Arc::clone(log));
    thread::spawn(move || {
        *log.poller.lock().unwrap() = Some(thread::current().id());
        let feed: Arc<dyn Feed> = log;
        while !partition.is_stopping() {
            match partition.fetch(Arc::clone(&feed), SHARE) {
                Fetched::Nothing | Fetched::Full => thread::park_timeout(Duration::from_millis(1)),
                Fetched::Some => {}
            }
        }
    })
}

/// Looks again and again, and not for ever.
async fn until(what: &str, reached: impl Fn() -> bool) {
    let mut looks = tokio::time::interval(Duration::from_millis(5));
    let began = Instant::now();
    while !reached() {
        assert!(began.elapsed() < Duration::from_secs(60), "waited for {what}");
        looks.tick().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_overtakes_another_and_nothing_is_left_behind() {
    let (_process, partition, noted) = start(true);
    let log = Log::of(RECORDS);
    let poller = poll(&partition, &log);
    until("every record to be settled", || partition.watermark() == RECORDS).await;
    partition.stop();
    poller.join().unwrap();

    let of = |key: i64| (0..RECORDS).filter(|offset| offset % KEYS == key).collect::<Vec<_>>();
    let expected: BTreeMap<_, _> = (0..KEYS).map(|key| (key.to_string(), of(key))).collect();
    assert!(*noted.lock().unwrap() == expected, "each once, in the order of its key");
    assert!(log.by_batches.load(SeqCst) > 0, "batches take records in");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_that_has_stopped_takes_nothing_from_its_feed() {
    let (_process, partition, _) = start(false);
    let log = Log::of(i64::MAX);
    let poller = poll(&partition, &log);
    until("batches to take records in", || log.by_batches.load(SeqCst) > 1_000).await;
    partition.stop();
    log.is_closed.store(true, SeqCst);
    poller.join().unwrap();
    partition.stopped().await;
    assert_eq!(log.after_the_end.load(SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_taken_in_behind_what_a_panic_may_have_lost() {
    let (_process, partition, _) = start(false);
    let log = Log::of(i64::MAX);
    log.panics.store(true, SeqCst);
    let poller = poll(&partition, &log);
    until("a batch to panic", || log.lost.load(SeqCst) < i64::MAX).await;
    let lost = log.lost.load(SeqCst);
    until("everything before it to be settled", || partition.watermark() == lost).await;
    let asked = log.next.load(SeqCst);
    for _ in 0..50 {
        assert_eq!(partition.fetch(Arc::clone(&log) as Arc<dyn Feed>, SHARE), Fetched::Nothing);
    }
    assert_eq!((partition.watermark(), log.next.load(SeqCst)), (lost, asked));
    partition.stop();
    poller.join().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_take_nothing_in_while_the_thread_that_polls_stands_still() {
    let (_process, partition, _) = start(false);
    let log = Log::of(i64::MAX);
    let feed: Arc<dyn Feed> = Arc::clone(&log) as _;
    *log.poller.lock().unwrap() = Some(thread::current().id());
    until("batches to take records in", || {
        partition.fetch(Arc::clone(&feed), SHARE);
        log.by_batches.load(SeqCst) > 1_000
    })
    .await;
    let left = Instant::now();
    until("everything to be settled, and nothing more to come", || {
        partition.is_idle() && !partition.is_at_work()
    })
    .await;
    assert!(left.elapsed() < 3 * Duration::from_secs(2), "{:?}", left.elapsed());
    partition.stop();
}
