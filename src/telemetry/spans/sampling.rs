//! Which traces are recorded: whoever begins one decides, and everybody else keeps to that.

use super::TraceContext;
use crate::config::TraceRatio;

/// The share of the traces that begin here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sampling(TraceRatio);

impl Sampling {
    /// What is configured, or else what the standard's variables say.
    pub(super) fn new(configured: Option<TraceRatio>, variable: impl Fn(&str) -> Option<String>) -> Self {
        let of_variables = || match variable("OTEL_TRACES_SAMPLER")?.as_str() {
            "always_off" | "parentbased_always_off" => Some(TraceRatio::NONE),
            "traceidratio" | "parentbased_traceidratio" => {
                TraceRatio::parse(&variable("OTEL_TRACES_SAMPLER_ARG")?)
            }
            _ => None,
        };
        Self(configured.or_else(of_variables).unwrap_or(TraceRatio::ALL))
    }

    /// A span of its own for what this trace has brought here, or the first of a new trace.
    pub(super) fn child_of(self, parent: Option<&TraceContext>) -> TraceContext {
        match parent {
            Some(parent) => parent.child(),
            None => {
                let root = TraceContext::root();
                root.sampled(self.has(&root))
            }
        }
    }

    /// By the lower bits of the trace's id, as others do: whoever records a smaller share records some of the same.
    fn has(self, root: &TraceContext) -> bool {
        let drawn = (root.trace_bits() as u64) >> 1;
        u128::from(drawn) * u128::from(TraceRatio::WHOLE) < u128::from(self.0.parts()) << 63
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampling(ratio: Option<&str>, variables: &[(&str, &str)]) -> Sampling {
        let variable = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        Sampling::new(ratio.map(|ratio| TraceRatio::parse(ratio).unwrap()), variable)
    }

    #[test]
    fn whoever_began_a_trace_has_decided() {
        let none = sampling(Some("0"), &[]);
        for flag in [true, false] {
            let parent = TraceContext::root().sampled(flag);
            assert_eq!(none.child_of(Some(&parent)).is_sampled(), flag);
            assert_eq!(none.child_of(Some(&parent)).trace_id(), parent.trace_id());
        }
        assert!(!none.child_of(None).is_sampled());
        assert!(sampling(None, &[]).child_of(None).is_sampled());
    }

    #[test]
    fn about_the_wanted_share_is_recorded() {
        let tenth = sampling(Some("0.1"), &[]);
        let recorded = (0..10_000).filter(|_| tenth.child_of(None).is_sampled()).count();
        // Ten standard deviations.
        assert!((700..1300).contains(&recorded), "{recorded}");
    }

    #[test]
    fn the_standards_variables_count_where_nothing_is_configured() {
        let arg = ("OTEL_TRACES_SAMPLER_ARG", "0.25");
        let by_ratio = [("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"), arg];
        assert_eq!(sampling(None, &by_ratio), sampling(Some("0.25"), &[]));
        assert_eq!(sampling(Some("1"), &by_ratio), sampling(Some("1"), &[]));
        assert_eq!(sampling(None, &[("OTEL_TRACES_SAMPLER", "always_off")]), sampling(Some("0"), &[]));
        assert_eq!(sampling(None, &[arg]), sampling(Some("1"), &[]), "without its sampler it means nothing");
    }
}
