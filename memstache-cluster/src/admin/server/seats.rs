//! How many connections there may be, and which one goes when one more comes.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst},
};

use parking_lot::Mutex;
use tokio::task::AbortHandle;

/// Connections that are open, at most so many.
///
/// When one more comes, the one goes that has asked for nothing for longest: who means it asks within moments, who floods
/// does not. While all are being answered, the new one is not taken.
#[derive(Debug)]
pub(super) struct Seats {
    most: usize,
    taken: Mutex<Vec<(Arc<Seat>, AbortHandle)>>,
    turn: Arc<AtomicU64>,
}

/// The place of one connection.
#[derive(Debug)]
pub(super) struct Seat {
    /// Answers under way.
    busy: AtomicUsize,
    /// The greater, the later it was used.
    used: AtomicU64,
    turn: Arc<AtomicU64>,
}

/// An answer under way; its connection keeps its seat.
#[derive(Debug)]
pub(super) struct Busy(Arc<Seat>);

impl Seats {
    pub(super) fn new(most: usize) -> Self {
        Self { most, taken: Mutex::default(), turn: Arc::default() }
    }

    /// Gives a seat to the connection that `begin` begins. Returns whether there was one.
    pub(super) fn take(&self, begin: impl FnOnce(Arc<Seat>) -> AbortHandle) -> bool {
        let mut taken = self.taken.lock();
        taken.retain(|(_, task)| !task.is_finished());
        if taken.len() >= self.most {
            let idle = taken.iter().enumerate().filter(|(_, (seat, _))| seat.busy.load(SeqCst) == 0);
            let Some((oldest, _)) = idle.min_by_key(|(_, (seat, _))| seat.used.load(SeqCst)) else { return false };
            let (_, task) = taken.swap_remove(oldest);
            task.abort();
        }
        let used = AtomicU64::new(self.turn.fetch_add(1, SeqCst));
        let seat = Arc::new(Seat { busy: AtomicUsize::new(0), used, turn: Arc::clone(&self.turn) });
        let task = begin(Arc::clone(&seat));
        taken.push((seat, task));
        true
    }
}

impl Seat {
    pub(super) fn busy(self: &Arc<Self>) -> Busy {
        self.busy.fetch_add(1, SeqCst);
        Busy(Arc::clone(self))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.used.store(self.0.turn.fetch_add(1, SeqCst), SeqCst);
        self.0.busy.fetch_sub(1, SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test]
    async fn who_is_silent_for_longest_goes_and_who_is_answered_stays() {
        let seats = Seats::new(3);
        let mut all: Vec<(Arc<Seat>, tokio::task::JoinHandle<()>)> = Vec::new();
        let come = |all: &mut Vec<_>| {
            let mut new = None;
            let taken = seats.take(|seat| {
                let task = tokio::spawn(pending());
                let handle = task.abort_handle();
                new = Some((seat, task));
                handle
            });
            all.extend(new);
            taken
        };
        for _ in 0..3 {
            assert!(come(&mut all));
        }
        let first = all[0].0.busy();
        drop(all[1].0.busy());
        assert!(come(&mut all), "the third was silent for longest");
        tokio::task::yield_now().await;
        let ended: Vec<_> = all.iter().map(|(_, task)| task.is_finished()).collect();
        assert_eq!(ended, [false, false, true, false]);
        let (second, fourth) = (all[1].0.busy(), all[3].0.busy());
        assert!(!come(&mut all), "all are being answered");
        drop((first, second, fourth));
        assert!(come(&mut all));
        tokio::task::yield_now().await;
        assert!(all[0].1.is_finished());
    }
}
