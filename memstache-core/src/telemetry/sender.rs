//! The way to one collector: a short queue and a task, so that a slow one holds up no other.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::{
    drops::{Drops, Parcel, Signal},
    endpoint::Endpoint,
    post::post,
};
use crate::{clock::Clock, util::until};

/// Exports that wait for a collector.
const QUEUE: usize = 8;

/// A collector, and what it is to get.
#[derive(Clone)]
pub(super) struct Destination {
    /// For people.
    pub(super) name: &'static str,
    pub(super) endpoint: Endpoint,
    pub(super) traces: bool,
    pub(super) metrics: bool,
}

/// The worker's end of the way.
pub(super) struct Sender {
    traces: bool,
    metrics: bool,
    jobs: mpsc::Sender<Job>,
    drops: Arc<Drops>,
}

enum Job {
    Send(Parcel<Bytes>),
    /// Answered once everything before it is done with.
    Ack(oneshot::Sender<()>),
}

impl Sender {
    /// Starts the task, which ends once the sender is dropped.
    pub(super) fn start(destination: Destination, drops: &Arc<Drops>, clock: &Arc<dyn Clock>, limit: Duration) -> Self {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let Destination { traces, metrics, .. } = destination;
        tokio::spawn(run(destination, queue, Arc::clone(clock), limit));
        Self { traces, metrics, jobs, drops: Arc::clone(drops) }
    }

    pub(super) fn wants(&self, signal: Signal) -> bool {
        match signal {
            Signal::Traces => self.traces,
            Signal::Metrics => self.metrics,
        }
    }

    /// Puts an export into the queue, if there is room.
    pub(super) fn send(&self, signal: Signal, count: u64, content: Bytes) {
        // What is not taken is dropped here, and counted.
        drop(self.jobs.try_send(Job::Send(Parcel::new(&self.drops, signal, count, content))));
    }

    /// Asks to be told once everything that was sent is done with.
    pub(super) fn ack(&self) -> impl Future<Output = ()> + Send + use<> {
        let jobs = self.jobs.clone();
        async move {
            let (done, told) = oneshot::channel();
            if jobs.send(Job::Ack(done)).await.is_ok() {
                drop(told.await);
            }
        }
    }
}

async fn run(destination: Destination, mut queue: mpsc::Receiver<Job>, clock: Arc<dyn Clock>, limit: Duration) {
    let mut failing = false;
    while let Some(job) = queue.recv().await {
        match job {
            Job::Ack(done) => drop(done.send(())),
            Job::Send(parcel) => {
                let failed = deliver(&destination, parcel, &clock, limit).await.err();
                if failed.is_some() != failing {
                    failing = failed.is_some();
                    tell(destination.name, failed.as_deref());
                }
            }
        }
    }
}

/// Delivers within the limit, or drops.
async fn deliver(
    destination: &Destination,
    parcel: Parcel<Bytes>,
    clock: &Arc<dyn Clock>,
    limit: Duration,
) -> Result<(), String> {
    let deadline = clock.now().after(limit);
    let posted = post(&destination.endpoint, parcel.signal, parcel.content.clone());
    match until(clock, Some(deadline), posted).await {
        Some(Ok(refused)) => {
            parcel.delivered(refused);
            Ok(())
        }
        Some(Err(failed)) => Err(failed.to_string()),
        None => Err("it did not answer in time".to_owned()),
    }
}

/// Logs that a collector stopped or began to accept, once each time.
fn tell(collector: &'static str, failed: Option<&str>) {
    match failed {
        Some(reason) => tracing::warn!(collector, reason, "telemetry is dropped: a collector does not accept it"),
        None => tracing::info!(collector, "a collector accepts telemetry again"),
    }
}
