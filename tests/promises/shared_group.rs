//! Two services in one consumer group would share the partitions out, and each would miss what the other got.

use std::time::Duration;

use crate::{TEST_WORKER, support::pod::Pods};

#[tokio::test]
async fn two_services_in_one_group_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let pods = Pods::of("orders", folder.path()).and("second", "orders");
    let group = pods.group.clone();
    let pods = pods.with("SERVICES__SECOND__GROUP", &group);
    let mut pod = pods.start(TEST_WORKER);
    let status = pod.wait(Duration::from_secs(20)).await;
    assert_eq!(status.code(), Some(2), "{}", pod.output());
    let expected = format!("services `{group}` and `second` have the same consumer group `{group}`");
    assert!(pod.output().contains(&expected), "{}", pod.output());
}
