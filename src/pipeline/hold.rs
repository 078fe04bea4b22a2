//! What a person has paused: nothing new begins there, and what runs may finish.

use tokio::sync::watch;

/// A door before work. Open, unless somebody has closed it.
#[derive(Debug)]
pub(crate) struct Hold(watch::Sender<bool>);

impl Default for Hold {
    fn default() -> Self {
        Self(watch::Sender::new(false))
    }
}

impl Hold {
    /// Closes or opens it. Whether that is news.
    pub(crate) fn set(&self, closed: bool) -> bool {
        self.0.send_if_modified(|is_closed| std::mem::replace(is_closed, closed) != closed)
    }

    pub(crate) fn is_closed(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it is open.
    pub(crate) async fn opened(&self) {
        self.is(false).await;
    }

    /// Waits until it is closed.
    pub(crate) async fn closed(&self) {
        self.is(true).await;
    }

    async fn is(&self, closed: bool) {
        if self.is_closed() != closed {
            // The sender is ours, so that there is always an answer.
            drop(self.0.subscribe().wait_for(|is_closed| *is_closed == closed).await);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_waits_goes_on_when_it_opens_and_hears_when_it_closes() {
        let hold = std::sync::Arc::new(Hold::default());
        hold.opened().await;
        assert!(hold.set(true) && !hold.set(true));
        hold.closed().await;
        let waits = tokio::spawn({
            let hold = std::sync::Arc::clone(&hold);
            async move { hold.opened().await }
        });
        tokio::task::yield_now().await;
        assert!(!waits.is_finished());
        assert!(hold.set(false));
        waits.await.unwrap();
    }
}
