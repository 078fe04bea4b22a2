//! What happens in a schedule: its records, and what goes wrong when. Drawn before it begins, so that it can be made smaller.

use std::time::Duration;

use super::dice::Dice;

/// Names an event; 0 is that of an event without a key.
pub(super) type Id = u16;

/// How long a claim is held.
pub(super) const LEASE: Duration = Duration::from_secs(3);
/// After so long without a sign of life a member is put out of the group.
pub(super) const SESSION: Duration = Duration::from_secs(3);

/// A schedule before it begins.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) partitions: usize,
    pub(super) pods: usize,
    pub(super) concurrency: usize,
    /// Handlers can tell whether an event has taken effect.
    pub(super) knows: bool,
    pub(super) records: Vec<Planned>,
    pub(super) faults: Vec<(Duration, Fault)>,
    pub(super) rates: Rates,
    /// From then on nothing goes wrong any more.
    pub(super) calm: Duration,
}

/// A record to be written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Planned {
    pub(super) at: Duration,
    pub(super) partition: usize,
    /// Of the record; not the dedupe key.
    pub(super) key: Option<u8>,
    pub(super) content: Content,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    Event {
        id: Id,
        /// What the fingerprint is made of.
        version: u16,
    },
    NoKey,
    Garbage,
    Tombstone,
}

/// What goes wrong at a time. Pods are counted among those that live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// A pod ends at once.
    Crash(usize),
    /// A pod stands still for so long.
    Freeze(usize, Duration),
    /// A pod is put out of the group, and learns of it so much later.
    PutOut(usize, Duration),
    /// A pod ends politely.
    Leave(usize),
    /// One more pod comes.
    Join,
    /// A partition is taken away and given back to the same pod.
    Bounce(usize),
    /// All partitions are handed out anew.
    Shuffle,
    StoreDown(Duration),
    /// The store forgets everything.
    StoreLost,
    /// The broker takes no letters.
    BrokerDown(Duration),
    /// What the handlers call is away: no attempt at what is sound ends well.
    Outage(Duration),
}

/// What goes wrong by chance, in thousandths.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Rates {
    /// A call of the store or the broker fails: its request or its reply is lost, or it arrives later.
    pub(super) calls: u32,
    /// A pod ends at the next of its steps.
    pub(super) crash: u32,
    /// An attempt of a handler does not end well.
    pub(super) attempt: u32,
    /// A step takes time.
    pub(super) slow: u32,
}

/// Of every so many events one is never handled.
const POISON_EVERY: u16 = 7;
/// Of every so many events one ends the process that handles it.
const KILLER_EVERY: u16 = 97;

/// What an event is, for whoever handles it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nature {
    Sound,
    /// Refused at once.
    Refused,
    /// Fails however often it is tried.
    Failing,
    /// Ends the process.
    Killer,
}

impl Plan {
    pub(super) fn of(seed: u64) -> Self {
        let dice = &mut Dice::of(seed, 1);
        let partitions = 1 + dice.below(3);
        let calm = dice.millis(3_000..10_000);
        let ids = 1 + dice.below(8);
        let keys = 1 + dice.below(4);
        // All at once, or one by one.
        let spread = dice.pick(&[1, 500, 4_000]);
        let records = (0..2 + dice.below(14)).map(|_| Planned {
            at: dice.millis(0..spread),
            partition: dice.below(partitions),
            key: dice.thousandths(850).then(|| u8::try_from(dice.below(keys)).unwrap_or(0)),
            content: content(dice, seed, ids),
        });
        let mut records: Vec<Planned> = records.collect();
        records.sort_by_key(|record| record.at);
        let faults = (0..dice.below(9)).map(|_| (dice.millis(0..8_000).min(calm), fault(dice, partitions)));
        let mut faults: Vec<_> = faults.collect();
        faults.extend(outage(&mut Dice::of(seed, 3)).map(|(at, fault)| (at.min(calm), fault)));
        faults.sort_by_key(|(at, _)| *at);
        let mut rate = |rates: &[u32]| dice.pick(rates);
        let rates = Rates {
            calls: rate(&[0, 0, 30, 120]),
            crash: rate(&[0, 0, 4, 15]),
            attempt: rate(&[0, 100, 350]),
            slow: rate(&[0, 100, 500, 900]),
        };
        let (pods, concurrency) = (1 + dice.below(3), dice.pick(&[1, 1, 2, 64]));
        let knows = dice.thousandths(500);
        Self { seed, partitions, pods, concurrency, knows, records, faults, rates, calm }
    }

    /// Events that cannot be handled are so for ever.
    pub(super) fn nature(&self, id: Id) -> Nature {
        let id = id.wrapping_add(u16::try_from(self.seed % 9973).unwrap_or(0));
        if id.is_multiple_of(KILLER_EVERY) {
            Nature::Killer
        } else if id.is_multiple_of(POISON_EVERY) {
            if id.is_multiple_of(2) { Nature::Refused } else { Nature::Failing }
        } else {
            Nature::Sound
        }
    }
}

fn content(dice: &mut Dice, seed: u64, ids: usize) -> Content {
    // Ids of a schedule are few, so that there are duplicates; where they begin decides which of them are poison.
    let id = 1 + u16::try_from(seed % 5).unwrap_or(0) + u16::try_from(dice.below(ids)).unwrap_or(0);
    match dice.below(20) {
        0 => Content::NoKey,
        1 => Content::Garbage,
        2 => Content::Tombstone,
        3 => Content::Event { id, version: 1 },
        _ => Content::Event { id, version: 0 },
    }
}

/// Drawn by itself, so that whatever else a seed stands for stays as it is.
fn outage(dice: &mut Dice) -> Option<(Duration, Fault)> {
    let (at, time) = (dice.millis(0..3_000), dice.millis(500..12_000));
    dice.thousandths(300).then_some((at, Fault::Outage(time)))
}

fn fault(dice: &mut Dice, partitions: usize) -> Fault {
    let pod = dice.below(4);
    match dice.below(14) {
        0 | 1 => Fault::Crash(pod),
        2 | 3 => Fault::Freeze(pod, dice.millis(100..9_000)),
        4 => Fault::PutOut(pod, dice.millis(1..4_000)),
        5 => Fault::Leave(pod),
        6 => Fault::Join,
        7 | 8 => Fault::Bounce(dice.below(partitions)),
        9 => Fault::Shuffle,
        10 | 11 => Fault::StoreDown(dice.millis(100..8_000)),
        12 => Fault::StoreLost,
        _ => Fault::BrokerDown(dice.millis(100..6_000)),
    }
}
