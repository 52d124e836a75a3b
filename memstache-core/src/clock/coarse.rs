//! The kernel's coarse clock: some milliseconds behind, at a tenth of the price.

use std::sync::{
    OnceLock,
    atomic::{
        AtomicBool, AtomicU64,
        Ordering::{Relaxed, SeqCst},
    },
};

use rustix::time::{ClockId, clock_gettime};

use super::Tick;

/// What the coarse clock may lag behind: ticks of 10 ms at most, and a late one.
const LAG: u64 = 20;
/// How far ahead of the kernel's clock tokio's must be to be taken for one that is turned by hand.
const AHEAD: u64 = 1000;

/// Set once tokio's time was seen to run ahead of the kernel's: it was paused and turned.
static TURNED: AtomicBool = AtomicBool::new(false);
/// What an upper bound is ahead of the coarse clock; 0 before the first was asked for, and once time is turned by hand.
static UPPER: AtomicU64 = AtomicU64::new(0);

/// Returns a tick that is not before now: what the precise clock says, if time is turned by hand.
#[inline]
pub(super) fn upper_bound(precise: fn() -> Tick) -> Tick {
    // Each hit comes by here.
    match UPPER.load(Relaxed) {
        0 => first_upper_bound(precise),
        ahead => Tick::from_millis(millis() + ahead),
    }
}

#[cold]
#[inline(never)]
fn first_upper_bound(precise: fn() -> Tick) -> Tick {
    if TURNED.load(SeqCst) {
        return precise();
    }
    UPPER.store(start(precise).upper(), SeqCst);
    // Whoever sets it after this look ends what was stored above.
    if TURNED.load(SeqCst) {
        UPPER.store(0, SeqCst);
    }
    precise()
}

/// Returns a tick that is not after now, or `None` if time is turned by hand.
#[cfg_attr(debug_assertions, expect(dead_code, reason = "in builds with debug assertions, tests only try the parts"))]
pub(super) fn lower_bound(origin: impl FnOnce() -> Tick) -> Option<Tick> {
    (!TURNED.load(Relaxed)).then(|| floor(origin))
}

fn floor(origin: impl FnOnce() -> Tick) -> Tick {
    let start = start(origin);
    Tick::from_millis((start.tick + millis()).saturating_sub(start.after + LAG))
}

/// Takes note of a tick that the precise clock gave.
#[inline]
pub(super) fn compare(tick: Tick, origin: impl FnOnce() -> Tick) {
    // Time that is turned by more than `AHEAD` is more than this later than the last tick that was compared.
    static COMPARED: AtomicU64 = AtomicU64::new(0);
    if tick.as_millis() > COMPARED.load(Relaxed) + AHEAD / 4 {
        COMPARED.store(tick.as_millis(), Relaxed);
        if tick.as_millis() > bound(origin).as_millis() + AHEAD {
            TURNED.store(true, SeqCst);
            UPPER.store(0, SeqCst);
        }
    }
}

fn bound(origin: impl FnOnce() -> Tick) -> Tick {
    Tick::from_millis(millis() + start(origin).upper())
}

fn start(origin: impl FnOnce() -> Tick) -> Start {
    static START: OnceLock<Start> = OnceLock::new();
    *START.get_or_init(|| Start { before: millis(), tick: origin().as_millis(), after: millis() })
}

/// What the coarse clock said before and after the precise one.
#[derive(Clone, Copy)]
struct Start {
    before: u64,
    tick: u64,
    after: u64,
}

impl Start {
    /// What an upper bound is ahead of the coarse clock: years, since that counts from the machine's start.
    fn upper(self) -> u64 {
        self.tick - self.before + LAG
    }
}

#[inline]
fn millis() -> u64 {
    let time = clock_gettime(ClockId::MonotonicCoarse);
    // Since the machine's start: neither is negative.
    time.tv_sec as u64 * 1000 + time.tv_nsec as u64 / 1_000_000
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
        let marked = Tick::from_millis(7);
        upper_bound(|| SystemClock.now());
        assert_ne!(upper_bound(|| Tick::from_millis(7)), marked);
        compare(clock.now().after(std::time::Duration::from_secs(3)), || clock.now());
        assert_eq!(upper_bound(|| Tick::from_millis(7)), marked);
    }

    #[test]
    fn the_bounds_are_never_beyond_now_and_not_far_from_it() {
        let clock = SystemClock::new();
        for _ in 0..200_000 {
            let before = clock.now();
            let (floor, bound) = (floor(|| clock.now()), bound(|| clock.now()));
            let after = clock.now();
            assert!(floor <= after, "{floor:?} {after:?}");
            assert!(floor.as_millis() + 3 * LAG >= before.as_millis(), "{floor:?} {before:?}");
            assert!(bound >= before, "{bound:?} {before:?}");
            assert!(bound.as_millis() <= after.as_millis() + 2 * LAG, "{bound:?} {after:?}");
        }
    }
}
