//! What `INFO` says, as far as a worker cares. It names the eviction policy too, so that a user who may not read the
//! configuration finds it out all the same.

use std::collections::HashMap;

use crate::store::StoreReport;

pub(super) fn read(info: &str) -> StoreReport {
    let said: HashMap<&str, &str> = info.lines().filter_map(|line| line.trim_end().split_once(':')).collect();
    let now_us: Option<i64> = said.get("server_time_usec").and_then(|value| value.parse().ok());
    let mut unreadable = Vec::new();
    let mut text = |name: &str| {
        let value = said.get(name).map(|value| (*value).to_owned());
        if value.is_none() {
            unreadable.push(name.to_owned());
        }
        value
    };
    let mut report = StoreReport {
        now_ms: now_us.map(|now_us| now_us / 1_000),
        // Valkey names the Redis version it is compatible with first, and itself besides.
        version: text("redis_version"),
        maxmemory_policy: text("maxmemory_policy"),
        run_id: text("run_id"),
        replication_id: text("master_replid"),
        role: text("role"),
        replicas: said.get("connected_slaves").and_then(|value| value.parse().ok()).into_iter().collect(),
        evicted_keys: said.get("evicted_keys").and_then(|value| value.parse().ok()),
        ..StoreReport::default()
    };
    let mut number = |name: &str| {
        let value = said.get(name).and_then(|value| value.parse().ok());
        if value.is_none() {
            unreadable.push(name.to_owned());
        }
        value
    };
    report.used_memory = number("used_memory");
    report.maxmemory = number("maxmemory");
    report.unreadable = unreadable;
    report
}

/// What the nodes of a cluster say, as one: ids change when those of any node do, and memory adds up.
pub(super) fn of_all(mut reports: Vec<StoreReport>) -> StoreReport {
    if reports.len() == 1 {
        return reports.remove(0);
    }
    let all = |field: fn(&StoreReport) -> Option<&String>| -> Option<String> {
        let mut texts = reports.iter().map(field).collect::<Option<Vec<_>>>()?;
        texts.sort();
        texts.dedup();
        Some(texts.into_iter().cloned().collect::<Vec<_>>().join("+"))
    };
    let sum = |field: fn(&StoreReport) -> Option<u64>| reports.iter().map(field).sum::<Option<u64>>();
    let maxmemory = sum(|report| report.maxmemory);
    let has_no_limit = reports.iter().any(|report| report.maxmemory == Some(0));
    StoreReport {
        // What one of them has forgotten by its clock is forgotten.
        now_ms: reports.iter().filter_map(|report| report.now_ms).max(),
        version: all(|report| report.version.as_ref()),
        maxmemory_policy: all(|report| report.maxmemory_policy.as_ref()),
        run_id: all(|report| report.run_id.as_ref()),
        replication_id: all(|report| report.replication_id.as_ref()),
        role: all(|report| report.role.as_ref()),
        replicas: reports.iter().flat_map(|report| report.replicas.clone()).collect(),
        evicted_keys: sum(|report| report.evicted_keys),
        used_memory: sum(|report| report.used_memory),
        maxmemory: if has_no_limit { Some(0) } else { maxmemory },
        unreadable: reports.iter().flat_map(|report| report.unreadable.clone()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_does_not_say_is_named() {
        let report = read(
            "# Server\r\nredis_version:7.0.15\r\nserver_time_usec:1700000000123456\r\nconnected_slaves:2\r\nused_memory:12\r\nmaxmemory:much\r\nrole:master\r\n",
        );
        assert_eq!(report.version.as_deref(), Some("7.0.15"));
        assert_eq!(report.now_ms, Some(1_700_000_000_123));
        assert_eq!(report.replicas, [2]);
        assert_eq!((report.used_memory, report.maxmemory), (Some(12), None));
        assert_eq!(report.unreadable, ["maxmemory_policy", "run_id", "master_replid", "maxmemory"]);
    }
}
