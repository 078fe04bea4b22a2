//! Where the API of a process finds what its fleet is told.

use std::sync::{Arc, OnceLock, Weak};

use super::{follower::Follower, member::Member};

/// Empty until the services of this process have begun, and again when they have ended. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seat(Arc<OnceLock<Weak<Follower>>>);

impl Seat {
    pub(crate) fn take(&self, member: &Member) {
        drop(self.0.set(Arc::downgrade(member.follower())));
    }

    /// What reads the control topic here.
    pub(crate) fn follower(&self) -> Option<Arc<Follower>> {
        self.0.get()?.upgrade()
    }
}
