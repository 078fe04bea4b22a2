//! Why nothing could be replayed, in the words of whoever found out.

use super::{journal::ResumeError, plan::PlanError, survey::SurveyError, taken::TakeError};
use crate::{ledger::KeepError, store::StoreFault};

/// Why nothing could be replayed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReplayError {
    /// What was asked for cannot be.
    #[error("{0}")]
    Order(String),
    /// Events in the range may have taken effect, and nobody knows.
    #[error("{0}")]
    Unknown(String),
    /// Another replay has a partition of it.
    #[error("{0}")]
    Busy(String),
    /// It could be, but not now.
    #[error("{0}")]
    Trouble(String),
}

impl From<PlanError> for ReplayError {
    fn from(error: PlanError) -> Self {
        match error {
            PlanError::Problems(_) => Self::Order(error.to_string()),
            PlanError::Kafka(_) => Self::Trouble(error.to_string()),
        }
    }
}

impl From<StoreFault> for ReplayError {
    fn from(fault: StoreFault) -> Self {
        Self::Trouble(format!("the dedupe store: {fault}"))
    }
}

impl From<KeepError> for ReplayError {
    fn from(error: KeepError) -> Self {
        Self::Trouble(error.to_string())
    }
}

impl From<ResumeError> for ReplayError {
    fn from(error: ResumeError) -> Self {
        match error {
            ResumeError::NotThere { .. } | ResumeError::Finished(_) => Self::Order(error.to_string()),
            ResumeError::Store(fault) => fault.into(),
        }
    }
}

impl From<TakeError> for ReplayError {
    fn from(error: TakeError) -> Self {
        match error {
            TakeError::Busy { .. } => Self::Busy(error.to_string()),
            TakeError::Store(fault) => fault.into(),
        }
    }
}

impl From<SurveyError> for ReplayError {
    fn from(error: SurveyError) -> Self {
        Self::Trouble(error.to_string())
    }
}
