//! A gate that holds calls until the test opens it.

use std::{fmt, sync::Arc};

use tokio::sync::{Semaphore, watch};

/// Holds whoever comes by until it is opened, so that a test can build an exact interleaving. Clones are the same gate.
///
/// ```
/// use memstache_core::testing::Gate;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let gate = Gate::new();
/// let held = gate.clone();
/// let loader = tokio::spawn(async move { held.pass().await });
/// gate.arrived(1).await;
/// assert!(!loader.is_finished()); // Here the test does what must happen meanwhile.
/// gate.open();
/// loader.await.unwrap();
/// # }
/// ```
#[derive(Clone)]
pub struct Gate(Arc<Inner>);

struct Inner {
    permits: Semaphore,
    waiting: watch::Sender<usize>,
}

impl Gate {
    /// Creates a closed gate.
    pub fn new() -> Self {
        Self(Arc::new(Inner { permits: Semaphore::new(0), waiting: watch::Sender::new(0) }))
    }

    /// Waits until the gate is open or lets this caller through.
    ///
    /// # Cancellation
    /// Dropping the future leaves the gate as it was.
    pub async fn pass(&self) {
        let _counted = Counted::new(&self.0.waiting);
        // A closed semaphore is an open gate.
        if let Ok(permit) = self.0.permits.acquire().await {
            permit.forget();
        }
    }

    /// Returns how many are held.
    pub fn waiting(&self) -> usize {
        *self.0.waiting.borrow()
    }

    /// Waits until at least so many are held at once.
    pub async fn arrived(&self, count: usize) {
        let mut waiting = self.0.waiting.subscribe();
        // The sender lives as long as this gate.
        let _ = waiting.wait_for(|waiting| *waiting >= count).await;
    }

    /// Lets so many through, those held first, and stays closed.
    pub fn admit(&self, count: usize) {
        self.0.permits.add_permits(count);
    }

    /// Lets everybody through, for good.
    pub fn open(&self) {
        self.0.permits.close();
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("waiting", &self.waiting()).field("open", &self.0.permits.is_closed()).finish()
    }
}

/// Counts a caller for as long as it is held, also when it leaves.
struct Counted<'a>(&'a watch::Sender<usize>);

impl<'a> Counted<'a> {
    fn new(waiting: &'a watch::Sender<usize>) -> Self {
        waiting.send_modify(|waiting| *waiting += 1);
        Self(waiting)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|waiting| *waiting -= 1);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn admits_opens_and_forgets_the_dropped() {
        let gate = Gate::new();
        let mut first = Box::pin(gate.pass());
        let mut second = Box::pin(gate.pass());
        assert!(first.as_mut().now_or_never().is_none() && second.as_mut().now_or_never().is_none());
        assert_eq!(gate.waiting(), 2);
        gate.admit(1);
        first.await;
        assert!(second.as_mut().now_or_never().is_none());
        drop(second);
        assert_eq!(gate.waiting(), 0);
        gate.open();
        gate.pass().await;
    }
}
