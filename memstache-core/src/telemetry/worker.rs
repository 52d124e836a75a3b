//! Gathers spans into batches, and sends them and the metrics, on a thread of its own.

use std::{
    io,
    pin::pin,
    sync::Arc,
    thread,
    time::{Duration, SystemTime},
};

use futures_util::future::{Either, join_all, select};
use tokio::sync::{mpsc, oneshot};

use super::{
    drops::{Drops, Signal},
    finished::Finished,
    inbox::Inbox,
    sender::{Destination, Sender},
    wire::{self, Resource},
};
use crate::{
    clock::{Clock, Tick},
    observe::Registry,
    util::until,
};

/// Most spans of an export.
pub(super) const BATCH: usize = 512;

/// How long a span waits for company.
const GATHER: Duration = Duration::from_secs(1);

/// What the guard asks for.
pub(super) enum Order {
    /// Sends what there is, and tells when all of it is done with.
    Flush(oneshot::Sender<()>),
    /// The same, within the bound, and then ends.
    Stop(Box<dyn FnOnce() + Send>),
}

/// What the thread needs.
pub(super) struct Worker {
    pub(super) spans: Inbox,
    pub(super) orders: mpsc::Receiver<Order>,
    pub(super) destinations: Vec<Destination>,
    pub(super) drops: Arc<Drops>,
    pub(super) registry: Registry,
    pub(super) resource: Resource,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) interval: Duration,
    pub(super) limit: Duration,
    pub(super) flush_within: Duration,
}

impl Worker {
    /// Starts the thread.
    pub(super) fn start(self) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        thread::Builder::new().name("memstache-telemetry".to_owned()).spawn(move || {
            let stopped = runtime.block_on(self.run());
            // A look-up of a name that hangs must not hold up the end.
            runtime.shutdown_background();
            if let Some(stopped) = stopped {
                stopped();
            }
        })?;
        Ok(())
    }

    /// Waits for an order or for spans, but no longer than until `wake`.
    async fn next(&mut self, wake: Tick) -> Next {
        let (order, call) = (pin!(self.orders.recv()), pin!(until(&self.clock, Some(wake), self.spans.called())));
        match select(order, call).await {
            Either::Left((order, _)) => Next::Ordered(order),
            Either::Right(_) => Next::Due,
        }
    }

    async fn run(mut self) -> Option<Box<dyn FnOnce() + Send>> {
        let start = |destination| Sender::start(destination, &self.drops, &self.clock, self.limit);
        let senders = std::mem::take(&mut self.destinations).into_iter().map(start).collect();
        let began = self.clock.wall();
        let (registry, resource) = (self.registry.clone(), std::mem::take(&mut self.resource));
        let mut desk = Desk { senders, batch: Vec::new(), registry, resource, began };
        let mut metrics_due = self.clock.now().after(self.interval);
        let mut batch_due = Tick::NEVER;
        loop {
            match self.next(metrics_due.min(batch_due)).await {
                Next::Ordered(Some(Order::Flush(done))) => {
                    self.spans.take(|span| desk.add(span));
                    let done_with = desk.send_all(self.clock.wall());
                    batch_due = Tick::NEVER;
                    tokio::spawn(async move {
                        done_with.await;
                        let _ = done.send(());
                    });
                }
                Next::Ordered(order) => {
                    // From now on the intake drops, and counts, what comes.
                    self.spans.close(|span| desk.add(span)).await;
                    let done_with = desk.send_all(self.clock.wall());
                    until(&self.clock, Some(self.clock.now().after(self.flush_within)), done_with).await;
                    return match order {
                        Some(Order::Stop(stopped)) => Some(stopped),
                        _ => None,
                    };
                }
                Next::Due => {}
            }
            let now = self.clock.now();
            if self.spans.is_full() || now >= batch_due {
                self.spans.take(|span| desk.add(span));
                desk.send_spans();
                batch_due = Tick::NEVER;
            }
            // Nobody calls for those that came meanwhile.
            if self.spans.is_full() {
                batch_due = now;
            } else if self.spans.is_used() {
                batch_due = batch_due.min(now.after(GATHER));
            }
            if now >= metrics_due {
                desk.send_metrics(self.clock.wall());
                metrics_due = now.after(self.interval);
            }
        }
    }
}

/// What the thread wakes for.
enum Next {
    /// `None`: the guard is gone.
    Ordered(Option<Order>),
    /// Spans, or the time.
    Due,
}

/// What is being made ready.
struct Desk {
    senders: Vec<Sender>,
    batch: Vec<Finished>,
    registry: Registry,
    resource: Resource,
    /// Since when metrics are counted.
    began: SystemTime,
}

impl Desk {
    fn add(&mut self, span: Finished) {
        self.batch.push(span);
        if self.batch.len() >= BATCH {
            self.send_spans();
        }
    }

    fn send_spans(&mut self) {
        let spans = std::mem::take(&mut self.batch);
        let count = spans.len() as u64;
        if count > 0 {
            let content = wire::traces(&self.resource, spans);
            let senders = self.senders.iter().filter(|sender| sender.wants(Signal::Traces));
            senders.for_each(|sender| sender.send(Signal::Traces, count, content.clone()));
        }
    }

    fn send_metrics(&mut self, now: SystemTime) {
        let mut senders = self.senders.iter().filter(|sender| sender.wants(Signal::Metrics)).peekable();
        if senders.peek().is_some() {
            let content = wire::metrics(&self.resource, &self.registry.samples(), self.began, now);
            senders.for_each(|sender| sender.send(Signal::Metrics, 1, content.clone()));
        }
    }

    /// Sends everything that there is; the future ends once all of it is done with.
    fn send_all(&mut self, now: SystemTime) -> impl Future<Output = ()> + Send + use<> {
        self.send_spans();
        self.send_metrics(now);
        let acks = join_all(self.senders.iter().map(Sender::ack));
        async move { drop(acks.await) }
    }
}
