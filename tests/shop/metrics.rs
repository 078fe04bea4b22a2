//! What a pod says about itself at `/metrics`.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::support::http;

/// The samples of one pod.
#[derive(Debug)]
pub(crate) struct Counts(Vec<Sample>);

#[derive(Debug)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Counts {
    pub(crate) async fn of(address: SocketAddr) -> Result<Counts, String> {
        match http::get(address, "/metrics").await? {
            (200, text) => {
                Ok(Counts(text.lines().filter(|line| !line.starts_with('#')).map(sample).collect()))
            }
            answer => Err(format!("{answer:?}")),
        }
    }

    /// The sum of `oncewise_<name>` over the samples of this service that carry these labels.
    pub(crate) fn sum(&self, name: &str, service: &str, labels: &[(&str, &str)]) -> u64 {
        let carries = |sample: &&Sample, (label, value): &(&str, &str)| {
            sample.labels.get(*label).is_some_and(|found| found == value)
        };
        let samples = self.0.iter().filter(|sample| sample.name == format!("oncewise_{name}"));
        samples
            .filter(|sample| carries(sample, &("service", service)))
            .filter(|sample| labels.iter().all(|label| carries(sample, label)))
            .map(|sample| sample.value as u64)
            .sum()
    }

    /// How many partitions each service has.
    pub(crate) fn partitions(&self) -> BTreeMap<String, usize> {
        let mut partitions = BTreeMap::new();
        for sample in self.0.iter().filter(|sample| sample.name == "oncewise_lag_records") {
            *partitions.entry(sample.labels["service"].clone()).or_default() += 1;
        }
        partitions
    }
}

/// `name{label="value",…} number`; no value in these tests has a quote or a comma in it.
fn sample(line: &str) -> Sample {
    let (series, value) = line.rsplit_once(' ').expect("a name and a number");
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    let pairs = labels.trim_end_matches('}').split(',').filter(|pair| !pair.is_empty());
    let label = |pair: &str| {
        let (label, value) = pair.split_once('=').expect("label=value");
        (label.to_owned(), value.trim_matches('"').to_owned())
    };
    Sample {
        name: name.to_owned(),
        labels: pairs.map(label).collect(),
        value: value.parse().expect("a number"),
    }
}
