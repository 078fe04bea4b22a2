//! Where panics happen. What they say is kept to nobody: it may quote a payload.

use std::{cell::RefCell, panic, thread};

thread_local! {
    static LAST_PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// From now on a panic is one line in the log, with its place and without its words.
pub(crate) fn log_places_only() {
    panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let thread = thread::current();
        tracing::error!(place, thread = thread.name().unwrap_or_default(), "panicked");
        LAST_PLACE.with_borrow_mut(|last| *last = Some(place));
    }));
}

/// Where this thread panicked last; known only after [`log_places_only`].
pub(crate) fn last_place() -> Option<String> {
    LAST_PLACE.with_borrow_mut(Option::take)
}
