//! Wall-clock time that is cheap to ask for.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use memstache_core::{Clock, Tick};

/// For how long the difference between ticks and wall-clock time is taken to stay, in milliseconds.
const KEPT: u64 = 1_000;

/// Milliseconds since the Unix epoch, made of ticks: the system is asked once a second.
///
/// A step of the wall clock is noticed a second late, which is nothing beside the skew that is allowed for.
#[derive(Debug)]
pub(super) struct Wall {
    clock: Arc<dyn Clock>,
    /// What is added to ticks, wrapping.
    offset: AtomicU64,
    /// Until which tick.
    until: AtomicU64,
}

impl Wall {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let wall = Self { clock, offset: AtomicU64::new(0), until: AtomicU64::new(0) };
        // So that nobody ever sees the limit of the first question without its answer.
        wall.ask(wall.clock.upper_bound());
        wall
    }

    /// Returns a tick that is not before now, and the wall-clock time.
    #[inline]
    pub(super) fn now(&self) -> (Tick, u64) {
        let tick = self.clock.upper_bound();
        let until = self.until.load(Relaxed);
        let kept = until.wrapping_sub(tick.as_millis());
        let offset = if (1..=KEPT).contains(&kept) { self.offset.load(Relaxed) } else { self.ask(tick) };
        (tick, tick.as_millis().wrapping_add(offset))
    }

    #[cold]
    fn ask(&self, tick: Tick) -> u64 {
        let offset = since_epoch(self.clock.wall()).wrapping_sub(tick.as_millis());
        // In this order: who sees the new limit by chance before the new difference uses one that is a second old.
        self.offset.store(offset, Relaxed);
        self.until.store(tick.as_millis().saturating_add(KEPT), Relaxed);
        offset
    }
}

/// Wall-clock time in milliseconds; zero before the epoch.
fn since_epoch(wall: SystemTime) -> u64 {
    wall.duration_since(SystemTime::UNIX_EPOCH).map_or(0, millis)
}

/// Whole milliseconds, rounded up.
pub(super) fn millis(span: Duration) -> u64 {
    let part = u64::from(span.subsec_nanos().div_ceil(1_000_000));
    span.as_secs().saturating_mul(1_000).saturating_add(part)
}

#[cfg(test)]
mod tests {
    use memstache_core::{BoxFuture, testing::ManualClock};

    use super::*;

    /// A manual clock whose wall-clock time is set by hand.
    #[derive(Clone, Debug)]
    struct Stepping(ManualClock, Arc<AtomicU64>);

    impl Clock for Stepping {
        fn now(&self) -> Tick {
            self.0.now()
        }

        fn wall(&self) -> SystemTime {
            SystemTime::UNIX_EPOCH + Duration::from_millis(self.1.load(Relaxed))
        }

        fn sleep_until(&self, tick: Tick) -> BoxFuture<'static, ()> {
            self.0.sleep_until(tick)
        }
    }

    #[test]
    fn it_goes_with_the_ticks_and_is_put_right_every_second() {
        let clock = Stepping(ManualClock::new(), Arc::new(AtomicU64::new(5_000)));
        let wall = Wall::new(Arc::new(clock.clone()));
        assert_eq!(wall.now(), (clock.now(), 5_000));
        clock.0.advance(Duration::from_millis(999));
        clock.1.store(90_000, Relaxed);
        assert_eq!(wall.now().1, 5_999);
        clock.0.advance(Duration::from_millis(1));
        assert_eq!(wall.now().1, 90_000);
        // Back, and to before the epoch.
        clock.1.store(0, Relaxed);
        clock.0.advance(Duration::from_secs(7));
        assert_eq!(wall.now().1, 0);
        clock.0.advance(Duration::from_millis(10));
        assert_eq!(wall.now().1, 10);
    }

    #[test]
    fn spans_round_up_and_saturate() {
        assert_eq!(millis(Duration::from_nanos(1)), 1);
        assert_eq!(millis(Duration::from_millis(1_500)), 1_500);
        assert_eq!(millis(Duration::MAX), u64::MAX);
    }
}
