use super::*;
use crate::config::TraceRatio;

#[test]
fn without_a_collector_nothing_is_traced_and_no_key_is_shown() {
    let telemetry = load_text("", &[]).unwrap().settings.telemetry;
    assert_eq!((telemetry.otlp_endpoint, telemetry.trace_ratio, telemetry.trace_keys), (None, None, false));
}

#[test]
fn a_share_is_a_number_from_0_to_1_however_it_is_written() {
    for (written, parts) in [("0", 0), ("1", 1_000_000), ("0.25", 250_000), ("\"0.001\"", 1_000)] {
        let settings = load_text(&format!("telemetry.trace_ratio = {written}"), &[]).unwrap().settings;
        assert_eq!(settings.telemetry.trace_ratio.map(TraceRatio::parts), Some(parts), "{written}");
    }
    for wrong in ["1.5", "-0.1", "nan", "\"half\"", "true"] {
        let problems = problems_of(&format!("telemetry.trace_ratio = {wrong}"), &[]);
        let ends = "allowed is a number from 0 to 1, such as 0.1";
        assert!(problems.len() == 1 && problems[0].ends_with(ends), "{wrong}: {problems:?}");
    }
}

#[test]
fn a_collector_is_a_url_without_secrets() {
    for wrong in [
        "collector:4318",
        "grpc://collector:4317",
        "http://",
        "http://u:hunter2@collector",
        "http://c/?key=hunter2",
    ] {
        let problems = problems_of(&format!("telemetry.otlp_endpoint = {wrong:?}"), &[]);
        assert!(
            problems.len() == 1 && problems[0].contains("allowed is the URL of a collector"),
            "{problems:?}"
        );
    }
    let settings = load_text("telemetry.otlp_endpoint = \"http://collector:4318\"", &[]).unwrap().settings;
    assert_eq!(settings.telemetry.otlp_endpoint.as_deref(), Some("http://collector:4318"));
}

#[test]
fn what_the_collector_wants_to_hear_is_secret() {
    let headers = ("ONCEWISE__TELEMETRY__OTLP_HEADERS", "authorization=hunter2");
    let in_clear = ("ONCEWISE__TELEMETRY__OTLP_ENDPOINT", "http://collector:4318");
    let loaded = load_text("", &[headers, in_clear]).unwrap();
    assert!(!format!("{loaded:?}{}", loaded.settings.render()).contains("hunter2"));
    assert!(loaded.settings.warnings.join("\n").contains("telemetry.otlp_endpoint is not encrypted"));
    let problems = problems_of("telemetry.otlp_headers = \"hunter2\"", &[]);
    assert!(problems.len() == 1 && problems[0].contains("allowed are `name=value` pairs"), "{problems:?}");
    assert!(!problems[0].contains("hunter2"));
}
