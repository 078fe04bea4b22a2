//! Single partitions over time: as Kafka's own tools have them, the worst first, and the others where somebody wants them.

use serde_json::{Value, json};

use super::{
    Desk, PATIENCE,
    browser::Browser,
    keyboard::press_on,
    page::{DESKTOP, PHONE, is_too_wide, keep, violations},
};
use crate::support::{
    kafka::{Record, group_lag},
    wait::until,
};

/// The numbers of the partitions in the table, as they stand, with what their plots of lag say in words.
async fn plotted(browser: &Browser) -> Vec<(i32, String)> {
    let script = "return JSON.stringify([...document.querySelectorAll('[data-own$=lag_records] svg')]
        .map((one) => [Number(one.closest('tr').cells[1].innerText), one.getAttribute('aria-label')]))";
    serde_json::from_str(browser.run(script, json!([])).await.as_str().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_are_plotted_as_kafka_has_them_the_worst_first_and_the_others_on_demand() {
    let desk = Desk::of(12).await;
    let (group, topic) = (desk.pods.group.as_str(), desk.topic.name());
    desk.events(0, 24, "").await;
    desk.pods.commit(&desk.topic, 24, PATIENCE).await;
    assert_eq!(desk.order("/pause", json!({ "service": group })).await.status, 200);
    let waiting = |n: i64| Record::new(format!("k-{n}"), format!(r#"{{"id":"late-{n}"}}"#)).to(7);
    desk.topic.produce_all((0..1200).map(waiting)).await;
    desk.events(24, 36, "").await;
    let told = until("Kafka's own tool to say so", PATIENCE, async || {
        let told = group_lag(group).await;
        let lag: i64 = told.iter().filter_map(|partition| partition.lag).sum();
        if lag == 1212 { Ok(told) } else { Err(told) }
    })
    .await;
    let lag_of = |partition: i32| told.iter().find(|told| told.partition == partition).unwrap().lag;

    let series = until("the last sample to be as Kafka has it", PATIENCE, async || {
        let series = desk.json(&format!("/series/{group}/partitions")).await;
        let times = series["at_ms"].as_array().unwrap().len();
        let is_it = |one: &Value| {
            let partition = i32::try_from(one["partition"].as_i64().unwrap()).unwrap();
            let lag = one["lag_records"].as_array().unwrap();
            lag.len() == times && lag.last() == Some(&json!(lag_of(partition)))
        };
        let all = series["partitions"].as_array().unwrap();
        if all.len() == 12 && all.iter().all(is_it) { Ok(series) } else { Err(series) }
    })
    .await;
    for one in series["partitions"].as_array().unwrap() {
        assert_eq!(one["topic"], topic);
        // One of them is read so that its age is known, and nothing begins.
        assert_eq!(one["in_flight"].as_array().unwrap().last(), Some(&json!(1)), "{one}");
        let age = one["oldest_unsettled_seconds"].as_array().unwrap().last().unwrap();
        assert!(age.as_f64() > Some(0.0), "{one}");
    }

    let browser = desk.console(DESKTOP, "light").await;
    // Handlers, then partitions.
    press_on(&browser, "#services details:nth-of-type(2) summary").await;
    let says = |(partition, label): &(i32, String)| {
        let (name, lag) = (format!("Partition {partition} of {topic}: lag"), lag_of(*partition).unwrap());
        // Numbers are told with a comma for thousands.
        let lag = if lag < 1000 { lag.to_string() } else { format!("{},{:03}", lag / 1000, lag % 1000) };
        label.starts_with(&format!("{name} over the last 15 minutes: now {lag}, at most "))
    };
    let shows = async |what: &str, number: usize| {
        until(what, PATIENCE, async || {
            let shown = plotted(&browser).await;
            if shown.len() == number && shown.iter().all(says) { Ok(shown) } else { Err(shown) }
        })
        .await
    };
    let order = |shown: &[(i32, String)]| shown.iter().map(|(partition, _)| *partition).collect::<Vec<_>>();
    let few = shows("the worst to be plotted", 10).await;
    assert_eq!(order(&few), [7, 0, 1, 2, 3, 4, 5, 6, 8, 9]);
    for (name, (width, height)) in [("partitions", DESKTOP), ("partitions-phone", PHONE)] {
        for scheme in ["light", "dark"] {
            browser.look_like(width, height, scheme).await;
            let found = violations(&browser).await;
            assert!(found.is_empty(), "{name}, {scheme}: {found:#?}");
            assert!(!is_too_wide(&browser).await, "{name} has to be scrolled sideways");
            keep(&browser, &format!("{name}-{scheme}")).await;
        }
    }
    press_on(&browser, "#services [data-key=fold]").await;
    assert_eq!(order(&shows("all to be plotted", 12).await), [7, 0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11]);
    let at = "return document.activeElement.dataset.key";
    assert_eq!(browser.run(at, json!([])).await, "fold", "whoever pressed it keeps their place");
    assert_eq!(browser.complaints().await, [""; 0]);
}
