//! What is put to the test.

use crate::{Codec, Handler, Json, Routes, Service};

/// The topic of a handler that is tested without its service.
pub(super) const TOPIC: &str = "events";

/// What a harness can test: a [`Service`], or a handler of JSON events. A handler that publishes needs its service,
/// which declares where to.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be tested by itself",
    note = "a harness takes a `Service`, or a handler whose event is read as JSON; give another its routes: `Service::new(name).routes(Routes::new().on_with(topic, codec, handler))`"
)]
pub trait Subject {
    /// The service. A handler's is called `test`, and reads the topic `events`.
    fn service(self) -> Service;
}

impl Subject for Service {
    fn service(self) -> Service {
        self
    }
}

impl<H: Handler> Subject for H
where
    Json: Codec<H::Event>,
{
    fn service(self) -> Service {
        Service::new("test").routes(Routes::new().on(TOPIC, self))
    }
}
