//! A database that is cut off on purpose.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::timeout};

use super::SourceError;

/// How long a query waits for a database that hangs, as the clients of databases have it.
const QUERY_TIMEOUT: Duration = Duration::from_secs(5);

/// How the database can be reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Reach {
    #[default]
    Up,
    /// Every query fails at once.
    Fails,
    /// No query is answered; each fails after a while.
    Hangs,
}

/// Cuts the database off, and brings it back; clones are the same. Default: it can be reached.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outage(Arc<watch::Sender<Reach>>);

impl Outage {
    pub(crate) fn becomes(&self, reach: Reach) {
        self.0.send_replace(reach);
    }

    /// Lets a query through, fails it, or holds it for as long as the database hangs, at most five seconds.
    pub(super) async fn pass(&self) -> Result<(), SourceError> {
        let mut changes = self.0.subscribe();
        match timeout(QUERY_TIMEOUT, changes.wait_for(|reach| *reach != Reach::Hangs)).await {
            Ok(Ok(reach)) if *reach == Reach::Up => Ok(()),
            _ => Err(SourceError::closed()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn queries_pass_fail_or_are_held_until_it_is_over() {
        let outage = Outage::default();
        assert!(outage.pass().await.is_ok());
        outage.becomes(Reach::Fails);
        assert!(outage.pass().await.is_err());
        outage.becomes(Reach::Hangs);
        assert!(timeout(QUERY_TIMEOUT / 2, outage.pass()).await.is_err(), "it hangs");
        assert!(outage.pass().await.is_err(), "but not for ever");
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
