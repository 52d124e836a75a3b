//! The kernel's coarse clock: some milliseconds behind, at a tenth of the price.

use std::sync::{
    OnceLock,
    atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use rustix::time::{ClockId, clock_gettime};

use super::Tick;

/// What the coarse clock may lag behind: ticks of 10 ms at most, and a late one.
const LAG: u64 = 20;
/// How far ahead of the kernel's clock tokio's must be to be taken for one that is turned by hand.
const AHEAD: u64 = 1000;

/// Set once tokio's time was seen to run ahead of the kernel's: it was paused and turned.
static TURNED: AtomicBool = AtomicBool::new(false);

/// Returns a tick that is not before now, or `None` if time is turned by hand.
pub(super) fn upper_bound(origin: impl FnOnce() -> Tick) -> Option<Tick> {
    (!TURNED.load(Relaxed)).then(|| bound(origin))
}

/// Takes note of a tick that the precise clock gave.
#[inline]
pub(super) fn compare(tick: Tick, origin: impl FnOnce() -> Tick) {
    // Time that is turned by more than `AHEAD` is more than this later than the last tick that was compared.
    static COMPARED: AtomicU64 = AtomicU64::new(0);
    if tick.as_millis() > COMPARED.load(Relaxed) + AHEAD / 4 {
        COMPARED.store(tick.as_millis(), Relaxed);
        if tick.as_millis() > bound(origin).as_millis() + AHEAD {
            TURNED.store(true, Relaxed);
        }
    }
}

fn bound(origin: impl FnOnce() -> Tick) -> Tick {
    // What the coarse clock said before the origin of ticks was taken: never later than it.
    static START: OnceLock<(u64, Tick)> = OnceLock::new();
    let (start, tick) = *START.get_or_init(|| (millis(), origin()));
    Tick::from_millis(tick.as_millis() + (millis() - start) + LAG)
}

fn millis() -> u64 {
    let time = clock_gettime(ClockId::MonotonicCoarse);
    // Since the machine's start: neither is negative.
    time.tv_sec.unsigned_abs() * 1000 + time.tv_nsec.unsigned_abs() / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Clock, SystemClock},
        *,
    };

    #[test]
    fn time_that_is_turned_by_hand_ends_the_use_of_the_coarse_clock() {
        let clock = SystemClock::new();
        compare(clock.now(), || clock.now());
        assert!(upper_bound(|| clock.now()).is_some());
        compare(clock.now().after(std::time::Duration::from_secs(3)), || clock.now());
        assert!(upper_bound(|| clock.now()).is_none());
    }

    #[test]
    fn the_bound_is_never_before_now_and_not_far_from_it() {
        let clock = SystemClock::new();
        for _ in 0..200_000 {
            let before = clock.now();
            let bound = bound(|| clock.now());
            let after = clock.now();
            assert!(bound >= before, "{bound:?} {before:?}");
            assert!(bound.as_millis() <= after.as_millis() + 2 * LAG, "{bound:?} {after:?}");
        }
    }
}
