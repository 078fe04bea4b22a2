use std::time::Duration;

use super::{ClaimRequest, Completion, Forget, Release, Renewal, StoreKey};

/// Everything that is asked about one key.
pub(crate) trait Keyed {
    fn key(&self) -> &StoreKey;
}

/// What may write a record, and how long that is remembered.
pub(crate) trait Request: Keyed {
    fn retention(&self) -> Duration;
}

impl Keyed for StoreKey {
    fn key(&self) -> &StoreKey {
        self
    }
}

impl Keyed for Forget {
    fn key(&self) -> &StoreKey {
        &self.key
    }
}

impl Keyed for ClaimRequest {
    fn key(&self) -> &StoreKey {
        &self.key
    }
}

impl Request for ClaimRequest {
    fn retention(&self) -> Duration {
        self.retention
    }
}

macro_rules! held_request {
    ($($name:ty),*) => {$(
        impl Keyed for $name {
            fn key(&self) -> &StoreKey {
                &self.held.key
            }
        }

        impl Request for $name {
            fn retention(&self) -> Duration {
                self.retention
            }
        }
    )*};
}

held_request!(Renewal, Completion, Release);
