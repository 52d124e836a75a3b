//! A database that is cut off on purpose.

use std::sync::Arc;

use tokio::sync::watch;

use super::SourceError;

/// How the database can be reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Reach {
    #[default]
    Up,
    /// Every query fails at once.
    Fails,
    /// No query is answered.
    Hangs,
}

/// Cuts the database off, and brings it back; clones are the same. Default: it can be reached.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outage(Arc<watch::Sender<Reach>>);

impl Outage {
    pub(crate) fn becomes(&self, reach: Reach) {
        self.0.send_replace(reach);
    }

    /// Lets a query through, fails it, or holds it for as long as the database hangs.
    pub(super) async fn pass(&self) -> Result<(), SourceError> {
        let mut changes = self.0.subscribe();
        // It cannot fail: this handle is the sender.
        let reach = changes.wait_for(|reach| *reach != Reach::Hangs).await.map_or(Reach::Fails, |reach| *reach);
        if reach == Reach::Up { Ok(()) } else { Err(SourceError::closed()) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn queries_pass_fail_or_are_held_until_it_is_over() {
        let outage = Outage::default();
        assert!(outage.pass().await.is_ok());
        outage.becomes(Reach::Fails);
        assert!(outage.pass().await.is_err());
        outage.becomes(Reach::Hangs);
        assert!(timeout(Duration::from_secs(60), outage.pass()).await.is_err(), "it hangs");
        let held = tokio::spawn({
            let outage = outage.clone();
            async move { outage.pass().await.is_ok() }
        });
        tokio::task::yield_now().await;
        assert!(!held.is_finished());
        outage.becomes(Reach::Up);
        assert!(held.await.unwrap());
    }
}
