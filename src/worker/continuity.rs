//! Whether the store is still the one it was, and still forgets nothing.

use std::{sync::Arc, time::Duration};

use super::memory::Memory;
use crate::{
    check::{self, State},
    pipeline::Status,
    store::{DedupeStore, StoreReport},
    telemetry::metrics::Component,
};

/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Looks at the store for ever, and says what an operator has to know: after a restart or a failover, claims
/// and marks of the last moments may be gone, and an event that occurs more than once may take effect again.
pub(super) async fn watch(store: Arc<dyn DedupeStore>, services: Vec<Arc<Status>>, memories: Vec<Memory>) {
    let mut known: Option<StoreReport> = None;
    let mut turns = tokio::time::interval(LOOK_AGAIN);
    loop {
        turns.tick().await;
        // A service that has nothing to ask the store has to know, too, whether it could.
        let report = match store.describe().await {
            Ok(report) => report,
            Err(fault) => {
                services.iter().for_each(|status| status.store_fault(None, &fault));
                continue;
            }
        };
        services.iter().for_each(|status| status.store_answered(None));
        let mut alarms = changes(known.as_ref(), &report);
        let is_new = known.as_ref().is_none_or(|known| known.maxmemory_policy != report.maxmemory_policy);
        if is_new {
            let findings = check::store(&Ok(report.clone()));
            let problems = findings.into_iter().filter(|finding| finding.state == State::Problem);
            alarms.extend(problems.map(|finding| format!("{}: {}", finding.subject, finding.found)));
        }
        for alarm in alarms {
            tracing::error!(alarm, "the dedupe store is not what it was");
            services.iter().for_each(|status| status.metrics.fault(Component::Store));
        }
        for memory in &memories {
            if let Err(fault) = memory.keep(&*store, &report, false).await {
                tracing::debug!(%fault, "how far memory reaches back is not written down");
            }
        }
        known = Some(report);
    }
}

fn changes(before: Option<&StoreReport>, now: &StoreReport) -> Vec<String> {
    let Some(before) = before else { return Vec::new() };
    let mut changes = Vec::new();
    if before.run_id != now.run_id {
        changes.push("another process answers than before: what it did not save is forgotten".to_owned());
    } else if before.replication_id != now.replication_id {
        changes.push(
            "its replication history has changed: what had not been replicated is forgotten".to_owned(),
        );
    } else if before.evicted_keys < now.evicted_keys {
        changes.push("it has dropped keys for want of memory: what took effect may be forgotten".to_owned());
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(run_id: &str, replication_id: &str) -> StoreReport {
        let text = |text: &str| Some(text.to_owned());
        StoreReport { run_id: text(run_id), replication_id: text(replication_id), ..StoreReport::default() }
    }

    #[test]
    fn another_process_and_another_history_are_noticed() {
        let before = report("a", "x");
        assert_eq!(changes(None, &before), [""; 0]);
        assert_eq!(changes(Some(&before), &before), [""; 0]);
        assert!(changes(Some(&before), &report("b", "x"))[0].contains("another process"));
        assert!(changes(Some(&before), &report("a", "y"))[0].contains("replication history"));
        let evicted = StoreReport { evicted_keys: Some(7), ..report("a", "x") };
        assert!(changes(Some(&before), &evicted)[0].contains("for want of memory"));
        assert_eq!(changes(Some(&evicted), &evicted), [""; 0]);
    }
}
