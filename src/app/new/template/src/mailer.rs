//! Stands for a mail gateway: put the client of yours here.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, PoisonError},
};

/// Keeps what it was asked to send. As a real gateway does, it takes an idempotency key that it has seen for a
/// repetition.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mailer {
    sent: Arc<Mutex<BTreeMap<String, String>>>,
}

impl Mailer {
    pub(crate) async fn send(&self, idempotency_key: &str, to: &str) -> io::Result<()> {
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        if sent
            .insert(idempotency_key.to_owned(), to.to_owned())
            .is_none()
        {
            println!("Welcome, {to}");
        }
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn sent(&self) -> Vec<String> {
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        sent.values().cloned().collect()
    }
}
