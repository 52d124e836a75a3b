//! Writes that come at the same time go out as one command.

mod order;
mod queue;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use futures_util::future::{Either, select};
use memstache_core::Result;
use parking_lot::Mutex;
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, oneshot},
};
use tracing::{Instrument as _, Span};

pub(super) use self::order::{Order, Outcome};
use self::queue::{Come, MOST, MOST_BYTES, Queue, Turn, WINDOW};
use super::{errors, shared::Shared};
use crate::client::Failure;

/// How long a write waits for others to end: a server that answers does so within this.
const HOLD: Duration = Duration::from_millis(20);
/// Bytes of a write that is a command of its own.
const LARGE: usize = MOST_BYTES / 4;

/// Writes to one server that wait for others to end. Scripts of a Cluster are of one slot, and hardly two writes are.
pub(super) struct Writes {
    queue: Mutex<Queue<Want>>,
    /// Writes that are not answered; of gathered ones also those whose callers have left.
    callers: Arc<AtomicUsize>,
    /// So many of them at most: what waits for a server that is gone is bounded.
    most: usize,
    runtime: Handle,
}

/// A write that somebody else may send.
struct Want {
    order: Order,
    answer: oneshot::Sender<Result<Outcome>>,
    span: Span,
    held: Held,
}

/// What a write takes up until it has ended: whoever leaves leaves its bytes behind.
struct Held {
    _caller: Caller,
    _room: Arc<OwnedSemaphorePermit>,
}

impl Writes {
    pub(super) fn new(max_queued: usize, runtime: Handle) -> Self {
        Self { queue: Mutex::default(), callers: Arc::default(), most: max_queued.max(WINDOW * MOST), runtime }
    }
}

impl Shared {
    /// Sends a write, with others that come at the same time; its fence, deadline and answer are its own.
    ///
    /// One that is alone, or fills a command, goes at once.
    ///
    /// # Cancellation
    /// A write that is dropped before it was sent is not; dropping it keeps nothing from others.
    pub(super) async fn order_together(
        self: &Arc<Self>,
        order: Order,
        room: Arc<OwnedSemaphorePermit>,
    ) -> Result<Outcome> {
        let caller = Caller(Arc::clone(&self.writes.callers));
        let others = self.writes.callers.fetch_add(1, Relaxed);
        if others == 0 || order.len() >= LARGE || self.client.topology().cluster {
            return self.order(&[order]).await.remove(0);
        }
        if others >= self.writes.most {
            return Err(errors::of_write(&Failure::Full));
        }
        let (deadline, len) = (order.deadline, order.len());
        // Dropped after what would be answered: who has left is not sent by its own leaving.
        let first;
        let (answer, mut answered) = oneshot::channel();
        let want = Want { order, answer, span: Span::current(), held: Held { _caller: caller, _room: room } };
        let (before, come) = self.writes.queue.lock().come(len, want);
        before.into_iter().for_each(|wants| self.send_wants(wants));
        match come {
            Come::Send(wants) => self.send_wants(wants),
            Come::Wait => {}
            Come::First(turn) => {
                first = First { shared: self, turn };
                let held = self.clock.sleep_until(self.clock.now().after(HOLD).min(deadline));
                if let Either::Left((answer, _)) = select(&mut answered, held).await {
                    return answer.unwrap_or_else(|_| Err(errors::of_write(&Failure::Disconnected)));
                }
                drop(first);
            }
        }
        // Most are as patient as the command is.
        let impatient = deadline.since(self.clock.now()) + HOLD < self.settings.write_timeout;
        let answer = if impatient {
            match select(answered, self.clock.sleep_until(deadline)).await {
                Either::Left((answer, _)) => answer,
                Either::Right(_) => return Err(errors::of_write(&Failure::Timeout)),
            }
        } else {
            answered.await
        };
        answer.unwrap_or_else(|_| Err(errors::of_write(&Failure::Disconnected)))
    }

    /// Sends writes in a task that nobody can cancel.
    fn send_wants(self: &Arc<Self>, mut wants: Vec<Want>) {
        let Some(span) = wants.first().map(|want| want.span.clone()) else { return };
        let under_way = UnderWay(Arc::clone(self));
        let send = async move {
            // Whoever left does not want it any more.
            wants.retain(|want| !want.answer.is_closed());
            let parts = wants.into_iter().map(|want| (want.order, (want.answer, want.held)));
            let (orders, answers): (Vec<_>, Vec<_>) = parts.unzip();
            let outcomes = if orders.is_empty() { Vec::new() } else { under_way.0.order(&orders).await };
            // The next goes before those are told who would come after it.
            drop(under_way);
            for ((answer, held), outcome) in answers.into_iter().zip(outcomes) {
                drop(held);
                let _ = answer.send(outcome);
            }
        };
        self.writes.runtime.spawn(send.instrument(span));
    }

    fn hurry_writes(self: &Arc<Self>, turn: Turn) {
        let wants = self.writes.queue.lock().hurry(turn);
        wants.into_iter().for_each(|wants| self.send_wants(wants));
    }
}

/// Counts a write until it is answered, or given up before it was gathered.
struct Caller(Arc<AtomicUsize>);

impl Drop for Caller {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// The first of a turn: when it goes, or has waited for long enough, nobody else would see to the others.
struct First<'a> {
    shared: &'a Arc<Shared>,
    turn: Turn,
}

impl Drop for First<'_> {
    fn drop(&mut self) {
        self.shared.hurry_writes(self.turn);
    }
}

/// A command that is under way; what waits goes when it ends, however it does.
struct UnderWay(Arc<Shared>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        let wants = self.0.writes.queue.lock().end();
        wants.into_iter().for_each(|wants| self.0.send_wants(wants));
    }
}

#[cfg(test)]
mod tests;
