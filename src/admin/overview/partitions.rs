//! The last quarter of an hour of single partitions. Of each service the worst are kept at any moment, however many it has: this
//! takes a megabyte of memory at most.

use std::{cmp::Reverse, collections::BTreeMap, time::Duration};

use serde::Serialize;

use super::{history::rate, service::PartitionNow};

/// So many partitions of a service are kept of each moment.
pub(super) const MOST: usize = 64;

/// Partitions at one moment, by topic and number.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Spots(BTreeMap<String, BTreeMap<i32, Spot>>);

/// One partition at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Spot {
    lag: Option<u64>,
    oldest: Option<f64>,
    in_flight: usize,
    watermark: Option<i64>,
}

/// What comes first: what has waited for long or for nobody knows how long, then what has much to do. Where all is well,
/// the order of their names.
fn badness(partition: &PartitionNow) -> Reverse<(bool, u64, u64)> {
    let age = partition.oldest_unsettled_seconds;
    let waits = partition.waits.is_some() || age.is_none();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "no age is negative")]
    let minutes = age.map_or(0, |age| (age / 60.0) as u64);
    Reverse((waits, minutes, partition.lag_records.unwrap_or_default()))
}

impl Spots {
    /// The worst of these partitions.
    pub(super) fn of(partitions: &[PartitionNow]) -> Self {
        let mut all: Vec<&PartitionNow> = partitions.iter().collect();
        // It keeps the order of those that are equally well.
        all.sort_by_key(|partition| badness(partition));
        let mut spots: BTreeMap<String, BTreeMap<i32, Spot>> = BTreeMap::new();
        for one in all.into_iter().take(MOST) {
            let spot = Spot {
                lag: one.lag_records,
                oldest: one.oldest_unsettled_seconds,
                in_flight: one.in_flight,
                watermark: one.watermark,
            };
            spots.entry(one.topic.clone()).or_default().insert(one.partition, spot);
        }
        Self(spots)
    }

    fn get(&self, topic: &str, partition: i32) -> Option<Spot> {
        self.0.get(topic)?.get(&partition).copied()
    }
}

/// The history of partitions in columns of one length, by topic and number. What is not known is null, and so is a partition
/// that was elsewhere, or not among the worst.
#[derive(Debug, Serialize)]
pub(super) struct PartitionsSeries {
    every_seconds: u64,
    at_ms: Vec<i64>,
    partitions: Vec<PartitionSeries>,
}

#[derive(Debug, Serialize)]
struct PartitionSeries {
    topic: String,
    partition: i32,
    lag_records: Vec<Option<u64>>,
    oldest_unsettled_seconds: Vec<Option<f64>>,
    in_flight: Vec<Option<usize>>,
    /// How fast the watermark moves.
    settled_per_second: Vec<Option<f64>>,
}

/// The columns of what was seen at these moments; those partitions that were seen last.
pub(super) fn series_of(every: Duration, seen: &[(i64, Option<&Spots>)]) -> PartitionsSeries {
    let last = seen.last().and_then(|(_, spots)| *spots);
    let partition = |topic: &str, partition: i32| {
        let spots: Vec<(i64, Option<Spot>)> = seen
            .iter()
            .map(|(at, spots)| (*at, spots.and_then(|spots| spots.get(topic, partition))))
            .collect();
        let moves = spots.windows(2).map(|pair| moved(pair[0], pair[1]));
        PartitionSeries {
            topic: topic.to_owned(),
            partition,
            lag_records: spots.iter().map(|(_, spot)| spot.as_ref()?.lag).collect(),
            oldest_unsettled_seconds: spots.iter().map(|(_, spot)| spot.as_ref()?.oldest).collect(),
            in_flight: spots.iter().map(|(_, spot)| Some(spot.as_ref()?.in_flight)).collect(),
            settled_per_second: std::iter::once(None).take(spots.len()).chain(moves).collect(),
        }
    };
    let topics = last.into_iter().flat_map(|spots| &spots.0);
    let partitions = topics.flat_map(|(topic, spots)| spots.keys().map(|number| partition(topic, *number)));
    PartitionsSeries {
        every_seconds: every.as_secs(),
        at_ms: seen.iter().map(|(at, _)| *at).collect(),
        partitions: partitions.collect(),
    }
}

/// How fast the watermark has moved between two moments.
fn moved((then, before): (i64, Option<Spot>), (now, after): (i64, Option<Spot>)) -> Option<f64> {
    rate(u64::try_from(after?.watermark? - before?.watermark?).ok()?, now - then)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(partition: i32, lag: u64, oldest: Option<f64>, watermark: i64) -> PartitionNow {
        PartitionNow {
            topic: "orders".to_owned(),
            partition,
            lag_records: Some(lag),
            oldest_unsettled_seconds: oldest,
            in_flight: 1,
            watermark: Some(watermark),
            ..PartitionNow::default()
        }
    }

    #[test]
    fn what_is_not_known_or_was_elsewhere_is_a_gap_in_the_columns() {
        let moments = [
            (0, Some(Spots::of(&[at(3, 7, Some(0.0), 100)]))),
            (5_000, None),
            (10_000, Some(Spots::of(&[at(3, 5, None, 100), at(4, 0, Some(0.0), 9)]))),
            (15_000, Some(Spots::of(&[at(3, 4, Some(2.5), 200), at(4, 0, Some(0.0), 3)]))),
        ];
        let seen: Vec<_> = moments.iter().map(|(at, spots)| (*at, spots.as_ref())).collect();
        let shown = json!(series_of(Duration::from_secs(5), &seen));
        assert_eq!(shown["at_ms"], json!([0, 5_000, 10_000, 15_000]));
        assert_eq!(
            shown["partitions"],
            json!([
                { "topic": "orders", "partition": 3, "lag_records": [7, null, 5, 4],
                  "oldest_unsettled_seconds": [0.0, null, null, 2.5], "in_flight": [1, null, 1, 1],
                  "settled_per_second": [null, null, null, 20.0] },
                // It has gone back: no rate is less than nothing.
                { "topic": "orders", "partition": 4, "lag_records": [null, null, 0, 0],
                  "oldest_unsettled_seconds": [null, null, 0.0, 0.0], "in_flight": [null, null, 1, 1],
                  "settled_per_second": [null, null, null, null] },
            ])
        );
    }

    #[test]
    fn however_many_partitions_there_are_the_worst_of_them_are_kept_and_no_more() {
        let mut many: Vec<PartitionNow> = (0..1000).map(|number| at(number, 1, Some(1.0), 0)).collect();
        many[700].oldest_unsettled_seconds = Some(300.0);
        many[800].oldest_unsettled_seconds = None;
        many[900].lag_records = Some(50);
        let kept = Spots::of(&many);
        let numbers: Vec<i32> = kept.0["orders"].keys().copied().collect();
        assert_eq!((kept.0.len(), numbers.len()), (1, MOST));
        assert_eq!((numbers[0], &numbers[MOST - 3..]), (0, &[700, 800, 900][..]));
    }
}
