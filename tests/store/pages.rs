//! Ends in short, over months: the server's own functions, by a clock that the test sets.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use oncewise::redis::FUNCTIONS;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use redis::aio::MultiplexedConnection;

use crate::server::Server;

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

struct Store {
    redis: MultiplexedConnection,
    now: u64,
    _server: Server,
}

/// What one event is known by: all in one bucket, so that its table has many pages.
fn key(number: u64) -> Vec<u8> {
    let digest = blake3::hash(&number.to_be_bytes());
    [b"pages:{5}:", &digest.as_bytes()[..16]].concat()
}

impl Store {
    async fn start() -> Self {
        let server = Server::start(&[]).await;
        let functions = FUNCTIONS
            .replace("oncewise_v2", "oncewise_test")
            // As earlier versions did, which kept the dead in short, too.
            .replace("short and how == '0' and", "short and")
            .replace("redis.call('TIME')", "{ redis.call('GET', 'clock') / 1000, 0 }");
        assert!(!functions.contains("'TIME'"));
        let mut redis = server.raw().await;
        redis::cmd("FUNCTION").arg("LOAD").arg(functions).exec_async(&mut redis).await.unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
        let mut store = Self { redis, now, _server: server };
        store.wait(0).await;
        store
    }

    async fn wait(&mut self, millis: u64) {
        self.now += millis;
        redis::cmd("SET").arg("clock").arg(self.now).exec_async(&mut self.redis).await.unwrap();
    }

    async fn call(
        &mut self,
        function: &str,
        numbers: &[u64],
        args: impl Fn(u64) -> Vec<String>,
    ) -> Vec<String> {
        let mut replies = Vec::new();
        for some in numbers.chunks(200) {
            let mut call = redis::cmd("FCALL");
            call.arg(format!("oncewise_test_{function}")).arg(some.len());
            for number in some {
                call.arg(key(*number));
            }
            for number in some {
                call.arg(args(*number));
            }
            let some: Vec<String> = call.query_async(&mut self.redis).await.unwrap();
            replies.extend(some);
        }
        replies
    }

    /// Ends these events; all of them are new.
    async fn end(&mut self, numbers: &[u64], keep: u64) {
        let end = |number| {
            let dead = if is_dead(number) { "1" } else { "0" };
            ["owner", &number.to_string(), dead, &keep.to_string(), "01", "", "0", ""]
                .map(str::to_owned)
                .to_vec()
        };
        let replies = self.call("shorten", numbers, end).await;
        assert!(replies.iter().all(|reply| reply == "L"), "{replies:?}");
    }

    /// How each event is known: nothing, or its letter and for how long still.
    async fn known(&mut self, numbers: &[u64]) -> Vec<Option<(char, u64)>> {
        let replies = self.call("inspect", numbers, |_| Vec::new()).await;
        let read = |reply: &String| match reply.split(':').collect::<Vec<_>>()[..] {
            [letter @ ("D" | "X"), "", "0", "", "", "", "", left, "0", _] => {
                Some((letter.chars().next().unwrap(), left.parse().unwrap()))
            }
            ["U"] => None,
            _ => panic!("{reply}"),
        };
        replies.iter().map(read).collect()
    }

    async fn pages(&mut self) -> u32 {
        let table: Vec<u8> =
            redis::cmd("GET").arg("pages:{5}:pages").query_async(&mut self.redis).await.unwrap();
        table.first_chunk().map_or(0, |pages| u32::from_be_bytes(*pages))
    }

    /// What the pages take, with all that the server allocates for them.
    async fn bytes(&mut self) -> u64 {
        let mut bytes = 0;
        for page in 0..self.pages().await {
            let mut usage = redis::cmd("MEMORY");
            usage.arg("USAGE").arg(format!("pages:{{5}}:p{page}"));
            let used: Option<u64> = usage.query_async(&mut self.redis).await.unwrap();
            bytes += used.unwrap_or_default();
        }
        bytes
    }
}

fn is_dead(number: u64) -> bool {
    number.is_multiple_of(7)
}

#[tokio::test]
async fn an_end_in_short_is_remembered_for_its_retention_and_not_much_longer() {
    for seed in 0..4 {
        let mut store = Store::start().await;
        let mut dice = StdRng::seed_from_u64(seed);
        let retentions: Vec<u64> = [20 * MINUTE, HOUR, 7 * HOUR, DAY, 8 * DAY, 30 * DAY, 400 * DAY]
            .into_iter()
            .filter(|_| dice.random_bool(0.5))
            .chain([2 * DAY])
            .collect();
        let pace = retentions[dice.random_range(0..retentions.len())] / 20;
        let mut ended: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
        for round in 0..80 {
            store.wait(dice.random_range(0..=2 * pace)).await;
            let keep = retentions[dice.random_range(0..retentions.len())];
            let first = ended.len() as u64;
            let numbers: Vec<u64> = (first..first + dice.random_range(1..150)).collect();
            store.end(&numbers, keep).await;
            ended.extend(numbers.iter().map(|number| (*number, (store.now, keep))));
            if round % 8 != 7 {
                continue;
            }
            let all: Vec<u64> = ended.keys().copied().collect();
            for (number, known) in all.iter().zip(store.known(&all).await) {
                let (at, keep) = ended[number];
                let (least, most) = (at + keep, at + keep + (keep / 6).max(15 * MINUTE));
                let seen =
                    format!("seed {seed}, event {number}, {keep} ms, {} ms ago: {known:?}", store.now - at);
                match known {
                    Some((letter, left)) => {
                        assert_eq!(letter, if is_dead(*number) { 'X' } else { 'D' }, "{seen}");
                        assert!((least..=most).contains(&(store.now + left)), "{seen}");
                    }
                    None => assert!(store.now >= least, "{seen}"),
                }
            }
        }
    }
}

#[tokio::test]
async fn what_is_dead_in_short_is_open_to_what_was_sent_on() {
    let mut store = Store::start().await;
    // Every seventh is dead.
    store.end(&(0..15).collect::<Vec<_>>(), DAY).await;
    let claim =
        |hop: &'static str| move |_| ["me", "1000", "864000000", "3", "", hop].map(str::to_owned).to_vec();
    assert_eq!(store.call("claim", &[7, 8], claim("0")).await, ["X", "D"]);
    let replies = store.call("claim", &[7, 8, 14], claim("1")).await;
    assert!(replies[0].starts_with('W') && replies[2].starts_with('W'), "{replies:?}");
    assert_eq!(replies[1], "D");
    // It is claimed now, and its neighbours are where they were.
    assert_eq!(store.call("claim", &[7], claim("0")).await, ["M"]);
    let left: Vec<u64> = (0..15).filter(|number| *number != 7 && *number != 14).collect();
    assert!(store.known(&left).await.iter().all(Option::is_some));
}

#[tokio::test]
async fn a_table_grows_and_shrinks_with_what_it_holds() {
    let mut store = Store::start().await;
    let many: Vec<u64> = (0..30_000).collect();
    store.end(&many, DAY).await;
    assert!(store.known(&many).await.iter().all(|known| known.is_some()), "none is lost in the moves");
    let (pages, bytes) = (store.pages().await, store.bytes().await);
    assert!((150..600).contains(&pages), "{pages} pages");
    assert!(bytes < 30_000 * 18, "{bytes} bytes");

    // Days with little to do: the old is over, and few pages are enough for the rest.
    store.wait(2 * DAY).await;
    let few: Vec<u64> = (100_000..103_000).collect();
    for some in few.chunks(100) {
        store.wait(HOUR / 2).await;
        store.end(some, 8 * DAY).await;
    }
    assert!(store.known(&few).await.iter().all(|known| known.is_some()), "none is lost in the moves");
    assert!(store.known(&many).await.iter().all(|known| known.is_none()), "a day has passed");
    let pages = store.pages().await;
    assert!(pages < 100, "{pages} pages");
}

#[tokio::test]
async fn every_bit_that_is_kept_tells_one_event_from_another() {
    let mut store = Store::start().await;
    store.end(&[0], DAY).await;
    let whole = key(0);
    let digest = whole.len() - 16;
    // The bucket has 6 bits of the first byte.
    let kept = [(4, 0..3), (5, 0..7)].into_iter().chain((6..16).map(|byte| (byte, 0..8)));
    let mut others = Vec::new();
    for (byte, bits) in kept {
        for bit in bits {
            let mut other = whole.clone();
            other[digest + byte] ^= 1 << bit;
            others.push(other);
        }
    }
    assert_eq!(others.len(), 90);
    others.push(whole);
    let mut inspect = redis::cmd("FCALL");
    inspect.arg("oncewise_test_inspect").arg(others.len()).arg(others);
    let replies: Vec<String> = inspect.query_async(&mut store.redis).await.unwrap();
    assert!(replies[..90].iter().all(|reply| reply == "U"), "{replies:?}");
    assert!(replies[90].starts_with('X'), "{replies:?}");
}
