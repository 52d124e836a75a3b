#![doc = include_str!("README.md")]

mod builder;
mod drops;
mod endpoint;
mod finished;
mod inbox;
mod layer;
mod post;
mod sender;
mod wire;
mod worker;

use std::{fmt, sync::Arc, time::Duration};

use tokio::sync::{mpsc, oneshot};

pub(crate) use self::drops::Drops;
use self::worker::Order;
pub use self::{builder::TelemetryBuilder, drops::TelemetryStats, layer::SpanLayer};
use crate::{
    clock::Clock,
    error::Result,
    observe::Registry,
    util::{timed_out, until},
};

/// How much longer than its bound the end is waited for if the thread is slow to say so, so that what it dropped is counted.
const GRACE: Duration = Duration::from_secs(1);

/// Sends spans and metrics for as long as it lives; see the [module](self).
///
/// Dropping it sends what there is: that blocks the thread, for no longer than
/// [`flush_within`](TelemetryBuilder::flush_within) and a moment. In asynchronous code, call [`shutdown`](Self::shutdown).
#[must_use = "telemetry ends with its guard"]
pub struct Telemetry {
    layer: SpanLayer,
    registry: Registry,
    prometheus: bool,
    /// To the thread, until it is told to stop; `None` if there is none.
    orders: Option<mpsc::Sender<Order>>,
    drops: Arc<Drops>,
    clock: Arc<dyn Clock>,
    flush_within: Duration,
}

impl Telemetry {
    /// Starts choosing where the telemetry of a service goes.
    pub fn builder(service: impl Into<String>) -> TelemetryBuilder {
        TelemetryBuilder::new(service.into())
    }

    /// Returns the layer that takes spans, for the application's own `tracing_subscriber` registry.
    pub fn layer(&self) -> SpanLayer {
        self.layer.clone()
    }

    /// Returns the registry whose metrics are sent: it makes the recorders of caches.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Writes all metrics as Prometheus reads them, if [`prometheus`](TelemetryBuilder::prometheus) was chosen; served as
    /// [`Registry::CONTENT_TYPE`].
    pub fn prometheus_text(&self) -> Option<String> {
        self.prometheus.then(|| self.registry.prometheus_text())
    }

    /// Returns what was sent and dropped so far.
    pub fn stats(&self) -> TelemetryStats {
        self.drops.stats()
    }

    /// Sends what there is, and returns what was sent and dropped so far: what was asked for counts as one or the other.
    ///
    /// # Errors
    /// `Timeout` if that took longer than [`flush_within`](TelemetryBuilder::flush_within), or the thread has ended.
    ///
    /// # Cancellation
    /// What was asked for is still sent.
    pub async fn flush(&self) -> Result<TelemetryStats> {
        let Some(orders) = &self.orders else { return Ok(self.stats()) };
        let (done, told) = oneshot::channel();
        let flush = async { orders.send(Order::Flush(done)).await.is_ok() && told.await.is_ok() };
        match until(&self.clock, Some(self.clock.now().after(self.flush_within)), flush).await {
            Some(true) => Ok(self.stats()),
            _ => Err(timed_out("telemetry was not flushed in time")),
        }
    }

    /// Sends what there is, within the bound, and ends; returns what was sent and dropped.
    ///
    /// # Cancellation
    /// It ends all the same.
    pub async fn shutdown(mut self) -> TelemetryStats {
        if let Some(orders) = self.orders.take() {
            let (done, told) = oneshot::channel();
            let stopped = Box::new(move || {
                // Nobody listens any more if the bound has passed.
                let _ = done.send(());
            });
            let stop = async {
                if orders.send(Order::Stop(stopped)).await.is_ok() {
                    drop(told.await);
                }
            };
            let deadline = self.clock.now().after(self.flush_within + GRACE);
            until(&self.clock, Some(deadline), stop).await;
        }
        self.stats()
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        let Some(orders) = self.orders.take() else { return };
        let (done, told) = std::sync::mpsc::sync_channel(1);
        // If the queue of orders is full, the thread ends because the guard is gone, and is not waited for.
        let stopped = Box::new(move || {
            let _ = done.send(());
        });
        if orders.try_send(Order::Stop(stopped)).is_ok() {
            let _ = told.recv_timeout(self.flush_within + GRACE);
        }
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
