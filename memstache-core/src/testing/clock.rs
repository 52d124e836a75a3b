//! A clock that is turned by hand.

use std::{
    collections::BTreeMap,
    fmt,
    future::poll_fn,
    sync::Arc,
    task::{Poll, Waker},
    time::{Duration, SystemTime},
};

use parking_lot::Mutex;

use crate::{
    clock::{BoxFuture, Clock, Tick},
    util::whole_millis,
};

/// A [`Clock`] that stands until it is advanced, set or rewound. Clones are the same clock.
///
/// It starts at tick 1,000,000 and at the Unix epoch plus as much.
///
/// ```
/// use std::time::Duration;
/// use memstache_core::{Clock, testing::ManualClock};
///
/// let clock = ManualClock::new();
/// let start = clock.now();
/// clock.advance(Duration::from_secs(5));
/// assert_eq!(clock.now().since(start), Duration::from_secs(5));
/// ```
#[derive(Clone, Default)]
pub struct ManualClock(Arc<Mutex<State>>);

struct State {
    now: Tick,
    next_id: u64,
    sleepers: BTreeMap<(Tick, u64), Option<Waker>>,
}

impl Default for State {
    fn default() -> Self {
        Self { now: Tick::from_millis(1_000_000), next_id: 0, sleepers: BTreeMap::new() }
    }
}

impl ManualClock {
    /// Creates a clock.
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves time on and wakes every sleeper whose tick has come.
    pub fn advance(&self, span: Duration) {
        self.turn(|now| now.after(span));
    }

    /// Moves time back, at most to tick 0: for tests of what must bear that. Who sleeps sleeps until its tick comes again.
    pub fn rewind(&self, span: Duration) {
        self.turn(|now| Tick::from_millis(now.as_millis().saturating_sub(whole_millis(span))));
    }

    /// Sets the time, forward or back.
    pub fn set(&self, to: Tick) {
        self.turn(|_| to);
    }

    fn turn(&self, to: impl FnOnce(Tick) -> Tick) {
        let mut state = self.0.lock();
        state.now = to(state.now);
        let next = state.now.after(Duration::from_millis(1));
        let later = state.sleepers.split_off(&(next, 0));
        let due = std::mem::replace(&mut state.sleepers, later);
        drop(state);
        due.into_values().flatten().for_each(Waker::wake);
    }

    /// Returns how many timers are waiting.
    pub fn sleepers(&self) -> usize {
        self.0.lock().sleepers.len()
    }

    fn forget(&self, key: (Tick, u64)) {
        self.0.lock().sleepers.remove(&key);
    }
}

impl fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManualClock").field("now", &self.0.lock().now).finish_non_exhaustive()
    }
}

struct Sleeper {
    clock: ManualClock,
    key: (Tick, u64),
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.clock.forget(self.key);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Tick {
        self.0.lock().now
    }

    fn wall(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(self.now().as_millis())
    }

    fn sleep_until(&self, tick: Tick) -> BoxFuture<'static, ()> {
        let mut state = self.0.lock();
        let key = (tick, state.next_id);
        state.next_id += 1;
        state.sleepers.insert(key, None);
        drop(state);
        let sleeper = Sleeper { clock: self.clone(), key };
        Box::pin(async move {
            poll_fn(|cx| {
                let mut state = sleeper.clock.0.lock();
                if state.now >= sleeper.key.0 {
                    return Poll::Ready(());
                }
                state.sleepers.insert(sleeper.key, Some(cx.waker().clone()));
                Poll::Pending
            })
            .await;
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn wakes_the_due_and_forgets_the_dropped() {
        let clock = ManualClock::new();
        let until = |secs| clock.now().after(Duration::from_secs(secs));
        let near = tokio::spawn(clock.sleep_until(until(5)));
        let far = clock.sleep_until(until(10));
        tokio::task::yield_now().await;
        clock.advance(Duration::from_millis(4_999));
        tokio::task::yield_now().await;
        assert!(!near.is_finished());
        clock.advance(Duration::from_millis(1));
        near.await.unwrap();
        assert_eq!(clock.sleepers(), 1);
        drop(far);
        assert_eq!(clock.sleepers(), 0);
    }

    #[tokio::test]
    async fn time_that_goes_back_is_waited_for_again() {
        let clock = ManualClock::new();
        let start = clock.now();
        let sleeper = tokio::spawn(clock.sleep_until(start.after(Duration::from_secs(5))));
        tokio::task::yield_now().await;
        clock.rewind(Duration::from_secs(10));
        assert_eq!(start.since(clock.now()), Duration::from_secs(10));
        clock.advance(Duration::from_secs(14));
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished());
        clock.set(start.after(Duration::from_secs(5)));
        sleeper.await.unwrap();
        clock.rewind(Duration::MAX);
        assert_eq!(clock.now(), Tick::from_millis(0));
    }
}
