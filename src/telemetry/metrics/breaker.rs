//! What is shown of a handler's breaker.

use prometheus::{IntCounter, IntGauge};

use super::families::Families;

/// The series of one handler's breaker, resolved once.
#[derive(Debug, Clone)]
pub struct BreakerMetrics {
    state: IntGauge,
    opened: IntCounter,
}

impl BreakerMetrics {
    pub(super) fn resolve(families: &Families, service: &str, handler: &str) -> Self {
        let labels = [service, handler];
        Self {
            state: families.breaker_state.with_label_values(&labels),
            opened: families.breaker_opened.with_label_values(&labels),
        }
    }

    /// It is closed (0), half open (1) or open (2) from now on.
    pub fn state(&self, state: u8) {
        self.state.set(state.into());
    }

    /// It has opened.
    pub fn opened(&self) {
        self.opened.inc();
    }
}
