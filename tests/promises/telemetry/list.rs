//! Queries against the list of metrics in the code.

use std::{
    collections::BTreeSet,
    io::Write,
    process::{Command, Stdio},
};

use oncewise::telemetry::metrics::definitions::{ALL, Definition, Kind};

/// What Prometheus adds by itself, and what makes buckets of a histogram.
const ADDED: [&str; 3] = ["instance", "job", "le"];

/// Runs `promtool` with this on its standard input; what it says, if it does not like it.
pub(super) fn promtool(args: &[&str], input: &str) -> Result<String, String> {
    let mut promtool = Command::new("promtool")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool, of Debian's package prometheus");
    promtool.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.success() { Ok(said) } else { Err(said) }
}

/// The series that a metric of the list is in Prometheus.
pub(super) fn series(metric: &Definition) -> Vec<String> {
    match metric.kind {
        Kind::Histogram(_) => {
            ["bucket", "sum", "count"].map(|part| format!("{}_{part}", metric.name)).to_vec()
        }
        Kind::Counter | Kind::Gauge => vec![metric.name.to_owned()],
    }
}

/// The metrics that a query asks for.
///
/// # Panics
/// One of them, or a label that it is chosen or summed by, does not exist.
pub(super) fn asked(query: &str) -> BTreeSet<&'static str> {
    let names: BTreeSet<&str> = words(query).filter(|word| word.starts_with("oncewise_")).collect();
    let metrics: Vec<&Definition> = names
        .iter()
        .map(|name| {
            let metric = ALL.iter().find(|metric| series(metric).iter().any(|series| series == name));
            metric.unwrap_or_else(|| panic!("there is no metric {name}, which is asked for in {query}"))
        })
        .collect();
    let known: BTreeSet<&str> =
        metrics.iter().flat_map(|metric| metric.labels).copied().chain(ADDED).collect();
    for label in labels(query) {
        assert!(known.contains(label), "none of {names:?} has a label {label}, which is used in {query}");
    }
    metrics.iter().map(|metric| metric.name).collect()
}

/// The labels in selectors (`{label="value"}`) and in groupings (`by (label)`).
fn labels(query: &str) -> Vec<&str> {
    let selectors = query.split('{').skip(1).filter_map(|rest| rest.split('}').next());
    let chosen = selectors
        .flat_map(|selector| selector.split(','))
        .map(|pair| pair.split(['=', '!']).next().unwrap_or_default().trim());
    let groupings = query.split("by (").skip(1).filter_map(|rest| rest.split(')').next());
    let grouped = groupings.flat_map(|labels| labels.split(',')).map(str::trim);
    chosen.chain(grouped).filter(|label| !label.is_empty()).collect()
}

fn words(query: &str) -> impl Iterator<Item = &str> {
    query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
}

#[test]
fn a_query_for_what_does_not_exist_is_found() {
    assert_eq!(
        asked("sum by (service) (oncewise_lag_records{topic=~\"a|b\"})"),
        ["oncewise_lag_records"].into()
    );
    for wrong in [
        "oncewise_lag_record",
        "oncewise_lag_records{handler=\"charge\"}",
        "sum by (service, handler) (oncewise_lag_records)",
        "oncewise_handler_duration_seconds",
        "oncewise_handler_duration_seconds_buckets",
    ] {
        assert!(std::panic::catch_unwind(|| asked(wrong)).is_err(), "{wrong}");
    }
}
