//! The last quarter of an hour, kept in the process: one sample of every service and handler each five seconds.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use serde::Serialize;

use super::{
    partitions::{PartitionsSeries, Spots, series_of},
    service::{ServiceNow, retries, total},
};

/// Between two samples.
pub(super) const EVERY: Duration = Duration::from_secs(5);
/// A quarter of an hour, and the sample that its first rates are reckoned from.
const KEPT: usize = 181;

/// The samples, the oldest first.
#[derive(Debug, Default)]
pub(super) struct History(VecDeque<Sample>);

/// All services at one moment.
#[derive(Debug, Clone, Default)]
pub(super) struct Sample {
    /// In milliseconds since 1970.
    pub(super) at: i64,
    pub(super) services: BTreeMap<String, Point>,
}

/// One service at one moment; counts since its process began.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Point {
    pub(super) lag: u64,
    pub(super) oldest: Option<f64>,
    pub(super) in_flight: u64,
    pub(super) faults: BTreeMap<String, u64>,
    pub(super) work: Work,
    /// By topic and name.
    pub(super) handlers: BTreeMap<(String, String), Work>,
    pub(super) partitions: Spots,
}

/// What was done; only grows.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Work {
    pub(super) settled: u64,
    pub(super) attempts: u64,
    pub(super) retries: u64,
    pub(super) dead_letters: u64,
}

impl Point {
    pub(super) fn of(service: &ServiceNow) -> Self {
        let handler = |handler: &super::service::HandlerNow| {
            let work = Work {
                settled: total(&handler.records),
                attempts: total(&handler.attempts),
                retries: retries(&handler.attempts),
                dead_letters: total(&handler.dead_letters),
            };
            ((handler.topic.clone(), handler.name.clone()), work)
        };
        Self {
            lag: service.lag_records,
            oldest: service.oldest_unsettled_seconds,
            in_flight: service.in_flight,
            faults: service.faults.clone(),
            work: Work {
                settled: total(&service.records),
                attempts: total(&service.attempts),
                retries: retries(&service.attempts),
                dead_letters: total(&service.dead_letters),
            },
            handlers: service.handlers.iter().map(handler).collect(),
            partitions: Spots::of(&service.partitions),
        }
    }
}

impl History {
    pub(super) fn add(&mut self, sample: Sample) {
        while self.0.len() >= KEPT {
            self.0.pop_front();
        }
        self.0.push_back(sample);
    }

    /// The sample of about a minute before `now`, or the first.
    pub(super) fn a_minute_before(&self, now: i64) -> Option<&Sample> {
        self.0.iter().rev().find(|sample| now - sample.at >= 60_000).or_else(|| self.0.front())
    }

    /// All of it, in columns.
    pub(super) fn series(&self) -> Series {
        let names: Vec<&String> =
            self.0.back().map(|last| last.services.keys().collect()).unwrap_or_default();
        Series {
            every_seconds: EVERY.as_secs(),
            at_ms: self.0.iter().map(|sample| sample.at).collect(),
            services: names.into_iter().map(|name| self.service(name)).collect(),
        }
    }

    /// Of the partitions of one service, as far as they are kept.
    pub(super) fn partitions<'a>(&'a self, service: &str) -> PartitionsSeries {
        let point = |sample: &'a Sample| sample.services.get(service);
        let seen = self.0.iter().map(|sample| (sample.at, point(sample).map(|point| &point.partitions)));
        series_of(EVERY, &seen.collect::<Vec<_>>())
    }

    fn service(&self, name: &str) -> ServiceSeries {
        let points = || self.0.iter().map(|sample| sample.services.get(name));
        let handlers =
            self.0.back().and_then(|last| last.services.get(name)).map(|last| last.handlers.keys());
        let handler = |(topic, handler): &(String, String)| HandlerSeries {
            topic: topic.clone(),
            name: handler.clone(),
            rates: self.rates(|point| point.handlers.get(&(topic.clone(), handler.clone())).copied(), name),
        };
        ServiceSeries {
            name: name.to_owned(),
            lag_records: points().map(|point| Some(point?.lag)).collect(),
            oldest_unsettled_seconds: points().map(|point| point?.oldest).collect(),
            in_flight: points().map(|point| Some(point?.in_flight)).collect(),
            rates: self.rates(|point| Some(point.work), name),
            handlers: handlers.into_iter().flatten().map(handler).collect(),
        }
    }

    fn rates(&self, work: impl Fn(&Point) -> Option<Work>, service: &str) -> Rates {
        let works: Vec<(i64, Option<Work>)> =
            self.0.iter().map(|sample| (sample.at, sample.services.get(service).and_then(&work))).collect();
        let rate = |count: fn(&Work) -> u64| {
            let rates = works.windows(2).map(|pair| per_second(pair[0], pair[1], count));
            std::iter::once(None).take(works.len()).chain(rates).collect()
        };
        Rates {
            settled_per_second: rate(|work| work.settled),
            retries_per_second: rate(|work| work.retries),
            dead_letters_per_second: rate(|work| work.dead_letters),
        }
    }
}

/// How many a second between two moments.
pub(super) fn per_second(
    (then, before): (i64, Option<Work>),
    (now, after): (i64, Option<Work>),
    count: fn(&Work) -> u64,
) -> Option<f64> {
    rate(count(&after?).checked_sub(count(&before?))?, now - then)
}

/// So many in so many milliseconds, by the second.
pub(super) fn rate(grown: u64, millis: i64) -> Option<f64> {
    let time = u64::try_from(millis).ok().filter(|time| *time > 0)?;
    #[expect(clippy::cast_precision_loss, reason = "a rate needs no more digits")]
    Some(grown as f64 / Duration::from_millis(time).as_secs_f64())
}

/// The history in columns of one length. What is not known is null: rates of the first sample, and a service that was not
/// there yet.
#[derive(Debug, Serialize)]
pub(super) struct Series {
    every_seconds: u64,
    at_ms: Vec<i64>,
    services: Vec<ServiceSeries>,
}

#[derive(Debug, Serialize)]
struct ServiceSeries {
    name: String,
    lag_records: Vec<Option<u64>>,
    oldest_unsettled_seconds: Vec<Option<f64>>,
    in_flight: Vec<Option<u64>>,
    #[serde(flatten)]
    rates: Rates,
    handlers: Vec<HandlerSeries>,
}

#[derive(Debug, Serialize)]
struct HandlerSeries {
    topic: String,
    name: String,
    #[serde(flatten)]
    rates: Rates,
}

#[derive(Debug, Serialize)]
struct Rates {
    settled_per_second: Vec<Option<f64>>,
    retries_per_second: Vec<Option<f64>>,
    dead_letters_per_second: Vec<Option<f64>>,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn sample(second: i64, settled: u64) -> Sample {
        let work = Work { settled, attempts: settled, ..Work::default() };
        let handlers = [(("orders".to_owned(), "charge".to_owned()), work)].into();
        let point = Point { lag: settled, work, handlers, ..Point::default() };
        Sample { at: second * 1000, services: [("payments".to_owned(), point)].into() }
    }

    fn shown(history: &History) -> Value {
        serde_json::to_value(history.series()).unwrap()
    }

    #[test]
    fn rates_are_reckoned_between_samples_and_never_from_nothing() {
        let mut history = History::default();
        assert_eq!(shown(&history)["services"], json!([]));
        for (second, settled) in [(0, 100), (5, 200), (15, 250)] {
            history.add(sample(second, settled));
        }
        // Its process has begun anew.
        history.add(sample(20, 3));
        let shown = shown(&history);
        let payments = &shown["services"][0];
        assert_eq!(payments["settled_per_second"], json!([null, 20.0, 5.0, null]));
        assert_eq!(payments["handlers"][0]["settled_per_second"], json!([null, 20.0, 5.0, null]));
        assert_eq!(payments["lag_records"], json!([100, 200, 250, 3]));
        assert_eq!(shown["at_ms"], json!([0, 5000, 15000, 20000]));
    }

    #[test]
    fn a_quarter_of_an_hour_is_kept_and_no_more() {
        let mut history = History::default();
        (0..1000).for_each(|turn| history.add(sample(turn * 5, 0)));
        let shown = shown(&history);
        let times = shown["at_ms"].as_array().unwrap();
        assert_eq!((times.len(), &times[0]), (KEPT, &json!((1000 - 181) * 5000)));
        assert_eq!(history.a_minute_before(999 * 5000).unwrap().at, 999 * 5000 - 60_000);
    }
}
