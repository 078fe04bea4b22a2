//! A mail gateway that runs in memory.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex},
};

/// Keeps what it was asked to send, by the idempotency key that came with it: as a real one does, it takes a repeated
/// key for a repetition.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mailer(Arc<Mutex<BTreeMap<String, String>>>);

impl Mailer {
    pub(crate) async fn send(&self, key: &str, to: &str) -> io::Result<()> {
        if !to.contains('@') {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        self.0.lock().unwrap().insert(key.to_owned(), to.to_owned());
        Ok(())
    }

    pub(crate) fn sent(&self) -> Vec<String> {
        self.0.lock().unwrap().values().cloned().collect()
    }
}
