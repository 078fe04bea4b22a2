//! What all metrics say at one moment, for whoever shows them to people.

use std::collections::BTreeMap;

use prometheus::proto::{Metric, MetricFamily};

use super::Metrics;

/// Every series at one moment.
#[derive(Debug)]
pub(crate) struct Reading(Vec<MetricFamily>);

/// Labels that a series must have, and their values.
pub(crate) type Labels<'a> = &'a [(&'a str, &'a str)];

impl Metrics {
    /// Reads all of them.
    pub(crate) fn read(&self) -> Reading {
        Reading(self.registry().gather())
    }
}

impl Reading {
    /// The sum of the counters or gauges with these labels; `None` where there is none.
    pub(crate) fn sum(&self, name: &str, labels: Labels<'_>) -> Option<f64> {
        self.series(name, labels).map(value).reduce(|sum, value| sum + value)
    }

    /// The same by the values of one more label, without those at zero.
    pub(crate) fn by(&self, name: &str, labels: Labels<'_>, label: &str) -> BTreeMap<String, u64> {
        let mut all = BTreeMap::new();
        for series in self.series(name, labels) {
            let named = series.get_label().iter().find(|pair| pair.name() == label);
            let count = whole(value(series));
            if let Some(pair) = named.filter(|_| count > 0) {
                *all.entry(pair.value().to_owned()).or_default() += count;
            }
        }
        all
    }

    /// How many observations the histograms with these labels have, and their sum.
    pub(crate) fn observed(&self, name: &str, labels: Labels<'_>) -> (u64, f64) {
        let histograms = self.series(name, labels).map(Metric::get_histogram);
        histograms
            .fold((0, 0.0), |(count, sum), one| (count + one.get_sample_count(), sum + one.get_sample_sum()))
    }

    fn series<'a>(&'a self, name: &str, labels: Labels<'a>) -> impl Iterator<Item = &'a Metric> {
        let family = self.0.iter().find(|family| family.name() == name);
        let series = family.into_iter().flat_map(MetricFamily::get_metric);
        series.filter(move |series| {
            labels.iter().all(|(label, value)| {
                series.get_label().iter().any(|pair| pair.name() == *label && pair.value() == *value)
            })
        })
    }
}

/// Of a counter or a gauge; the other one is zero.
fn value(series: &Metric) -> f64 {
    series.get_counter().get_value() + series.get_gauge().get_value()
}

/// A count that is kept as a fraction.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts are whole and below 2^53"
)]
pub(crate) fn whole(value: f64) -> u64 {
    value.max(0.0) as u64
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::telemetry::metrics::{AttemptOutcome, Component};

    #[test]
    fn series_are_found_by_their_labels_and_added_up() {
        let metrics = Metrics::new();
        let (payments, orders) = (metrics.service("payments"), metrics.service("orders"));
        payments.fault(Component::Kafka);
        payments.fault(Component::Store);
        payments.fault(Component::Store);
        orders.fault(Component::Kafka);
        let charge = metrics.handler("payments", "orders.created", "charge");
        charge.attempts(AttemptOutcome::Retry, &[Duration::from_secs(3)]);
        let mut in_flight = payments.in_flight();
        in_flight.add(7, 70);

        let reading = metrics.read();
        let of = [("service", "payments")];
        assert_eq!(reading.sum("oncewise_faults_total", &of), Some(3.0));
        assert_eq!(reading.sum("oncewise_faults_total", &[]), Some(4.0));
        assert_eq!(reading.sum("oncewise_in_flight", &of), Some(7.0));
        assert_eq!(reading.sum("oncewise_of_another_version", &of), None);
        let faults = [("kafka".to_owned(), 1), ("store".to_owned(), 2)];
        assert_eq!(reading.by("oncewise_faults_total", &of, "component"), faults.into());
        assert_eq!(reading.observed("oncewise_handler_duration_seconds", &of), (1, 3.0));
    }
}
