//! Why a handler is not idempotent, and what helps.

use std::{collections::BTreeSet, fmt};

use super::{Harness, idempotence::Plan};

/// What helps, in the order in which it is to be preferred.
const REMEDY: &str = "\
What helps, wherever the effect takes place:
  - give `ctx.idempotency_key()` to whoever receives the effect and refuses to repeat it, such as a payment gateway;
  - or write the key in the transaction of the effect, together with `ctx.stored_publications()` (an inbox): `handle` looks
    for it first, and where it is, says `ctx.restore_publications(text)` and `done()`;
  - let `was_applied` answer from the same place, for it is asked after a crash, but never instead of the above: after
    a time-out the handler simply runs again.";

/// The faults under which a handler does not take effect once. Printed either way, it is a text for people.
pub struct NotIdempotent(String);

/// One fault, and what came of it.
pub(super) struct Violation {
    pub(super) plan: String,
    pub(super) found: Found,
}

pub(super) enum Found {
    /// As if the event had never come.
    Nothing,
    DeadLettered(String),
    Otherwise {
        observed: String,
        published: BTreeSet<String>,
    },
}

impl NotIdempotent {
    /// The run without a fault says nothing.
    pub(super) fn unclear(harness: &Harness, after: &dyn fmt::Debug) -> Self {
        let letters: Vec<String> = harness
            .letters()
            .into_iter()
            .map(|letter| format!("{:?}: {}", letter.disposition, letter.error))
            .collect();
        Self(format!(
            "There is nothing to check: delivered once, with nothing going wrong, the event ended as {:?}{}{}, and \
             what is observed afterwards is {after:?}. It has to be done, and to change what is observed or to publish.",
            harness.outcomes(),
            if letters.is_empty() { "" } else { " with the dead letter " },
            letters.join(", "),
        ))
    }

    pub(super) fn under(violations: Vec<Violation>, expected: String, published: BTreeSet<String>) -> Self {
        let both = |observed: &str, ids: &BTreeSet<String>| match (ids.is_empty(), published.is_empty()) {
            (true, true) => observed.to_owned(),
            _ => format!("{observed}, published {ids:?}"),
        };
        let mut text = format!(
            "The handler does not take effect once whatever goes wrong. Expected, as after a delivery without a fault: {}.\n",
            both(&expected, &published)
        );
        for Violation { plan, found } in violations {
            text += &match found {
                Found::Nothing => format!("  - {plan}: no effect at all\n"),
                Found::DeadLettered(error) => format!("  - {plan}: dead-lettered, {error:?}\n"),
                Found::Otherwise { observed, published: ids } => {
                    format!("  - {plan}: {}\n", both(&observed, &ids))
                }
            };
        }
        Self(text + REMEDY)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clean => f.write_str("no fault"),
            Self::Twice => f.write_str("delivered to two partitions at the same moment"),
            Self::AfterLoss => f.write_str("delivered again when the store had forgotten it"),
            Self::Fault(moment, fault) => write!(f, "{moment}, {fault}"),
        }
    }
}

impl fmt::Display for NotIdempotent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `unwrap` and `?` show what `Debug` writes.
impl fmt::Debug for NotIdempotent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotIdempotent {}
