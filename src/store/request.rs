use std::time::Duration;

use super::{ClaimRequest, Completion, Release, Renewal, StoreKey};

/// What all requests have in common.
pub(crate) trait Request {
    fn key(&self) -> &StoreKey;
    fn retention(&self) -> Duration;
}

impl Request for ClaimRequest {
    fn key(&self) -> &StoreKey {
        &self.key
    }

    fn retention(&self) -> Duration {
        self.retention
    }
}

macro_rules! held_request {
    ($($name:ty),*) => {$(
        impl Request for $name {
            fn key(&self) -> &StoreKey {
                &self.held.key
            }

            fn retention(&self) -> Duration {
                self.retention
            }
        }
    )*};
}

held_request!(Renewal, Completion, Release);
