//! How the store keeps what has ended, and what that takes.

use std::time::Duration;

use super::Finding;
use crate::store::Layout;

/// What is remembered for less, or for longer, has a key of its own with either layout.
const SHORTEST: Duration = Duration::from_secs(15 * 60);
const LONGEST: Duration = Duration::from_secs(1_024 * 86_400);

/// One finding for each layout, of handlers by `service.handler`, with their layouts and their TTLs.
pub(crate) fn layouts(handlers: &[(String, Layout, Duration)]) -> Vec<Finding> {
    let of = |layout, short| {
        let fits = |ttl: &Duration| (SHORTEST < *ttl && *ttl <= LONGEST) == short;
        let names = handlers.iter().filter(move |(_, its, ttl)| *its == layout && fits(ttl));
        names.map(|(name, ..)| name.as_str()).collect::<Vec<_>>()
    };
    let keys = [of(Layout::Keys, true), of(Layout::Keys, false)].concat();
    let (short, beyond) = (of(Layout::Compact, true), of(Layout::Compact, false));
    let found =
        |names: &[&str], what: &str| (!names.is_empty()).then(|| format!("{what}: {}", names.join(", ")));
    let advice = "nothing need be done, but their memory is that of the layout keys; compact keeps what is remembered \
                  for more than 15 minutes and at most 1024 days";
    [
        found(&keys, "keys, about 130 bytes for each event")
            .map(|found| Finding::fine("store layout", found)),
        found(&short, "compact, about 17 bytes for each event")
            .map(|found| Finding::fine("store layout", found)),
        found(&beyond, "compact does not keep in short what is remembered so briefly or so long")
            .map(|found| Finding::warning("store layout", found, advice)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::State;

    #[test]
    fn handlers_are_named_by_the_layout_that_they_have_in_effect() {
        let (brief, long) = (Duration::from_secs(60), Duration::from_secs(86_400));
        let handlers = [
            ("a.x", Layout::Keys, long),
            ("b.x", Layout::Compact, long),
            ("b.y", Layout::Compact, brief),
            ("c.x", Layout::Keys, brief),
        ]
        .map(|(name, layout, ttl)| (name.to_owned(), layout, ttl));
        let found = layouts(&handlers);
        let shown: Vec<_> = found.iter().map(|finding| (finding.state, finding.found.as_str())).collect();
        assert_eq!(
            shown,
            [
                (State::Fine, "keys, about 130 bytes for each event: a.x, c.x"),
                (State::Fine, "compact, about 17 bytes for each event: b.x"),
                (
                    State::Warning,
                    "compact does not keep in short what is remembered so briefly or so long: b.y"
                ),
            ]
        );
        assert_eq!(layouts(&[]).len(), 0);
    }
}
