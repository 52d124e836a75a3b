//! The way of spans to the thread that sends them: bounded, and quiet. Who hands over a span wakes the thread only if nothing
//! waited yet or a batch is full, since waking it costs more than the span.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::AcqRel, Ordering::Acquire},
};

use tokio::sync::{Notify, mpsc};

use super::finished::Finished;

/// Creates both ends.
pub(super) fn inbox(capacity: usize, batch: usize) -> (Slot, Inbox) {
    let (sender, spans) = mpsc::channel(capacity);
    // Half of a short queue: the rest is for those that come while the thread wakes.
    let batch = batch.min(capacity.div_ceil(2));
    let shared = Arc::new(Shared { waiting: AtomicUsize::new(0), call: Notify::new(), batch });
    (Slot { spans: sender, shared: Arc::clone(&shared) }, Inbox { spans, shared })
}

#[derive(Debug)]
struct Shared {
    /// Spans that are there or being put there.
    waiting: AtomicUsize,
    call: Notify,
    /// So many are worth being fetched at once.
    batch: usize,
}

/// Where spans are put.
#[derive(Debug)]
pub(super) struct Slot {
    spans: mpsc::Sender<Finished>,
    shared: Arc<Shared>,
}

impl Slot {
    /// Puts a span there, if there is room; waits for nothing.
    pub(super) fn put(&self, span: Finished) -> bool {
        let Shared { waiting, call, batch } = &*self.shared;
        let before = waiting.fetch_add(1, AcqRel);
        if self.spans.try_send(span).is_err() {
            waiting.fetch_sub(1, AcqRel);
            return false;
        }
        if before == 0 || before + 1 == *batch {
            call.notify_one();
        }
        true
    }
}

/// Where they are taken out.
#[derive(Debug)]
pub(super) struct Inbox {
    spans: mpsc::Receiver<Finished>,
    shared: Arc<Shared>,
}

impl Inbox {
    /// Waits until a span is the first that waits, or makes a batch full. Both may be long ago.
    pub(super) async fn called(&self) {
        self.shared.call.notified().await;
    }

    /// Returns whether there are spans, or about to be.
    pub(super) fn is_used(&self) -> bool {
        self.shared.waiting.load(Acquire) > 0
    }

    /// Returns whether there is a batch, or about to be.
    pub(super) fn is_full(&self) -> bool {
        self.shared.waiting.load(Acquire) >= self.shared.batch
    }

    /// Takes out what is there now: more may come as fast as it is taken.
    pub(super) fn take(&mut self, mut to: impl FnMut(Finished)) {
        let mut taken = 0;
        for _ in 0..self.spans.len() {
            let Ok(span) = self.spans.try_recv() else { break };
            to(span);
            taken += 1;
        }
        self.shared.waiting.fetch_sub(taken, AcqRel);
    }

    /// Takes no more, and takes out the rest.
    pub(super) async fn close(&mut self, mut to: impl FnMut(Finished)) {
        self.spans.close();
        while let Some(span) = self.spans.recv().await {
            to(span);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio_test::{assert_pending, assert_ready, task::spawn};

    use super::*;

    fn numbers(inbox: &mut Inbox) -> Vec<u64> {
        let mut all = Vec::new();
        inbox.take(|span| all.push(span.ids.span));
        all
    }

    #[test]
    fn the_first_and_a_full_batch_wake_and_the_others_do_not() {
        let (slot, mut inbox) = inbox(10, 4);
        assert_pending!(spawn(inbox.called()).poll());
        for round in 0..3 {
            assert!(!inbox.is_used());
            for (number, wakes) in [(1, true), (2, false), (3, false), (4, true), (5, false)] {
                assert!(slot.put(Finished::numbered(number)));
                let mut called = spawn(inbox.called());
                if wakes {
                    assert_ready!(called.poll())
                } else {
                    assert_pending!(called.poll())
                }
                drop(called);
                assert_eq!(inbox.is_full(), number >= 4, "round {round}");
            }
            assert_eq!(numbers(&mut inbox), [1, 2, 3, 4, 5]);
        }
    }

    #[test]
    fn what_finds_no_room_is_refused_and_counts_for_nothing() {
        let (slot, mut inbox) = inbox(3, 512);
        assert_eq!(
            [1, 2, 3, 4, 5].map(|number| slot.put(Finished::numbered(number))),
            [true, true, true, false, false]
        );
        assert!(inbox.is_full(), "half of a short queue is a batch");
        assert_eq!(numbers(&mut inbox), [1, 2, 3]);
        assert!(!inbox.is_used() && !inbox.is_full());
        assert!(slot.put(Finished::numbered(6)));
        assert_eq!(numbers(&mut inbox), [6]);
    }

    #[tokio::test]
    async fn who_closes_gets_the_rest_and_nothing_more() {
        let (slot, mut inbox) = inbox(10, 4);
        assert!(slot.put(Finished::numbered(1)) && slot.put(Finished::numbered(2)));
        let mut all = Vec::new();
        inbox.close(|span| all.push(span.ids.span)).await;
        assert_eq!((all, slot.put(Finished::numbered(3))), (vec![1, 2], false));
    }

    #[test]
    fn of_many_that_put_at_once_none_is_left_behind() {
        const EACH: u64 = 20_000;
        let (slot, mut inbox) = inbox(64, 16);
        let slot = Arc::new(slot);
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let slot = Arc::clone(&slot);
                std::thread::spawn(move || (0..EACH).filter(|number| slot.put(Finished::numbered(*number))).count())
            })
            .collect();
        let mut taken = 0;
        while threads.iter().any(|thread| !thread.is_finished()) {
            inbox.take(|_| taken += 1);
        }
        let put: usize = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        inbox.take(|_| taken += 1);
        assert_eq!((taken, inbox.is_used()), (put, false));
    }
}
