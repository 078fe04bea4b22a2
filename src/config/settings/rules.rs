//! What single values do not show: whether they fit together.

use std::time::Duration;

use super::DedupeSettings;
use crate::config::Reader;
use crate::config::units::show_duration;

const SHORTEST_LEASE: Duration = Duration::from_secs(1);
const SHORT_TTL: Duration = Duration::from_secs(2 * 86_400);

/// An event must be remembered until its last retry is over. `scopes` are the sections from the narrowest to
/// the general one, each with its last dot; a scope that says nothing about it was checked as its parent.
pub(super) fn horizon(
    reader: &mut Reader,
    scopes: &[String],
    ttl: Option<Duration>,
    lease: Duration,
    budget: Option<Duration>,
) {
    let [ttl_key, lease_key, budget_key] = ["dedupe.ttl", "dedupe.lease", "retry.budget"].map(|name| {
        let mut keys = scopes.iter().map(|scope| format!("{scope}{name}"));
        keys.find(|key| reader.has(key)).unwrap_or_else(|| name.to_owned())
    });
    let narrowest = scopes.first().map_or("", String::as_str);
    if ![&ttl_key, &lease_key, &budget_key].iter().any(|key| key.starts_with(narrowest)) {
        return;
    }
    let ttl = ttl.unwrap_or(DedupeSettings::DEFAULT_TTL);
    let held = show_duration(lease);
    if lease < SHORTEST_LEASE && lease_key.starts_with(narrowest) {
        reader.problem(&lease_key, "allowed is 1s or more: renewals would come too late");
    }
    if ttl <= lease {
        reader.problem(&ttl_key, format!("must be longer than `{lease_key}` = {held}"));
    } else if let Some(budget) = budget
        && ttl < budget + lease
    {
        let (spent, sum) = (show_duration(budget), show_duration(budget + lease));
        reader.problem(
            &ttl_key,
            format!("must be at least `{budget_key}` = {spent} plus `{lease_key}` = {held}, which is {sum}"),
        );
    }
    if ttl < SHORT_TTL && ttl_key.starts_with(narrowest) {
        let ttl = show_duration(ttl);
        reader.warn(format!("{ttl_key} = {ttl}: what is repeated later than that takes effect again"));
    }
}
