//! Time, injected: nothing in memstache asks the operating system directly.

#[cfg(all(target_os = "linux", any(test, not(debug_assertions))))]
mod coarse;
mod ticker;

pub(crate) use self::ticker::Ticker;
use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, OnceLock},
    time::{Duration, SystemTime},
};

/// A boxed future, `Send`.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A point on a [`Clock`]'s monotonic line, in whole milliseconds since its origin.
///
/// Ticks of different clocks must not be compared; every part of one stack shares one clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tick(u64);

impl Tick {
    /// A tick that is never reached.
    pub const NEVER: Self = Self(u64::MAX);

    /// Creates a tick from milliseconds since the clock's origin.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Returns the milliseconds since the clock's origin.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Returns the tick `span` later; [`Tick::NEVER`] when it overflows.
    #[must_use]
    pub const fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(millis(span)))
    }

    /// Returns the tick `span` earlier; the origin when there is none.
    #[must_use]
    pub const fn before(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(millis(span)))
    }

    /// Returns how long it is from `earlier` to this tick; zero if it is not later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// Whole milliseconds of a span, rounded up so that no positive lifetime becomes zero, saturating.
pub(crate) const fn millis(span: Duration) -> u64 {
    let (whole, part) = (span.as_secs().saturating_mul(1000), span.subsec_nanos().div_ceil(1_000_000));
    whole.saturating_add(part as u64)
}

/// Where time comes from.
///
/// `now` is monotonic and cheap; `wall` is only for instants that a caller gives as wall-clock time; `sleep_until`
/// ends when `now` has reached the tick.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// Returns the current tick.
    fn now(&self) -> Tick;

    /// Returns a tick that is not before now, and hardly after it; cheaper than [`now`](Self::now) if that can be.
    ///
    /// What is fresh then is fresh now: hits are judged by it first. Default: `now`.
    fn upper_bound(&self) -> Tick {
        self.now()
    }

    /// Returns a tick that is not after now, and hardly before it; cheaper than [`now`](Self::now) if that can be.
    ///
    /// What is written then lives no longer than it should: writes that are not short-lived are dated by it. Default: `now`.
    fn lower_bound(&self) -> Tick {
        self.now()
    }

    /// Returns the time since some fixed moment, as finely as the clock can tell: for measuring how long something took.
    ///
    /// Default: [`now`](Self::now), in whole milliseconds.
    fn elapsed(&self) -> Duration {
        self.now().since(Tick::default())
    }

    /// Returns the current wall-clock time.
    fn wall(&self) -> SystemTime;

    /// Completes once [`now`](Self::now) has reached `tick`. Dropping the future cancels the timer.
    fn sleep_until(&self, tick: Tick) -> BoxFuture<'static, ()>;
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> Tick {
        C::now(self)
    }

    fn upper_bound(&self) -> Tick {
        C::upper_bound(self)
    }

    fn lower_bound(&self) -> Tick {
        C::lower_bound(self)
    }

    fn elapsed(&self) -> Duration {
        C::elapsed(self)
    }

    fn wall(&self) -> SystemTime {
        C::wall(self)
    }

    fn sleep_until(&self, tick: Tick) -> BoxFuture<'static, ()> {
        C::sleep_until(self, tick)
    }
}

/// The operating system's clock, by way of tokio's timers.
///
/// All of a process's system clocks share one origin, far enough from the zero tick for entries that are older than the
/// process. Under `tokio::time::pause` it follows tokio's paused time.
///
/// On Linux, in builds without debug assertions, [`upper_bound`](Clock::upper_bound) reads the kernel's coarse clock: at
/// most about 25 ms ahead, for 4 ns instead of 36; and so does [`lower_bound`](Clock::lower_bound), at most about 45 ms
/// behind. Where interrupts come late (a virtual machine that was not scheduled)
/// it may be behind by as much: a hit is then served that much after its deadline. Time that is paused and turned is
/// noticed there once it was turned by more than a second and somebody asked for [`now`](Clock::now): test expiry in
/// builds with debug assertions, or with a clock of your own.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct SystemClock;

impl SystemClock {
    /// Creates the system clock.
    pub const fn new() -> Self {
        Self
    }
}

/// The tick of [`SystemClock`]'s origin: twenty years.
///
/// An entry that another process wrote is older than this process: with an origin of zero, its age would be cut to the
/// process's own, and `max_staleness` with it.
const HEAD_START: Tick = Tick(20 * 365 * 24 * 3600 * 1000);

impl SystemClock {
    /// Returns the current tick and the time that has [elapsed](Clock::elapsed), by asking the system once.
    pub(crate) fn reading() -> (Tick, Duration) {
        let since = since_origin();
        (checked(tick_of(since)), since)
    }
}

/// The process-wide origin of [`SystemClock`]'s ticks.
fn origin() -> tokio::time::Instant {
    static ORIGIN: OnceLock<tokio::time::Instant> = OnceLock::new();
    *ORIGIN.get_or_init(tokio_now)
}

#[expect(clippy::disallowed_methods, reason = "the one place where the operating system is asked")]
fn tokio_now() -> tokio::time::Instant {
    tokio::time::Instant::now()
}

/// What has passed since the origin, by tokio's clock.
fn since_origin() -> Duration {
    let origin = origin();
    tokio_now().saturating_duration_since(origin)
}

/// The tick that tokio's clock says.
fn precise() -> Tick {
    tick_of(since_origin())
}

fn tick_of(since: Duration) -> Tick {
    // Not `as_millis`: it multiplies 128 bits.
    Tick(HEAD_START.0 + since.as_secs() * 1000 + u64::from(since.subsec_millis()))
}

/// Lets the coarse clock know what the precise one said.
#[inline]
fn checked(tick: Tick) -> Tick {
    #[cfg(all(target_os = "linux", not(debug_assertions)))]
    coarse::compare(tick, precise);
    tick
}

impl Clock for SystemClock {
    fn now(&self) -> Tick {
        checked(precise())
    }

    #[cfg(all(target_os = "linux", not(debug_assertions)))]
    #[inline]
    fn upper_bound(&self) -> Tick {
        coarse::upper_bound(precise)
    }

    #[cfg(all(target_os = "linux", not(debug_assertions)))]
    fn lower_bound(&self) -> Tick {
        coarse::lower_bound(precise).unwrap_or_else(precise)
    }

    fn elapsed(&self) -> Duration {
        since_origin()
    }

    #[expect(clippy::disallowed_methods, reason = "the one place where the operating system is asked")]
    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }

    fn sleep_until(&self, tick: Tick) -> BoxFuture<'static, ()> {
        match origin().checked_add(tick.since(HEAD_START)) {
            Some(instant) => Box::pin(tokio::time::sleep_until(instant)),
            None => Box::pin(std::future::pending()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_round_up_and_saturate() {
        assert_eq!(millis(Duration::from_nanos(1)), 1);
        assert_eq!(millis(Duration::from_millis(5)), 5);
        assert_eq!(Tick::from_millis(5).after(Duration::MAX), Tick::NEVER);
        assert_eq!(Tick::from_millis(5).before(Duration::from_secs(1)), Tick::default());
        assert_eq!(Tick::from_millis(5).since(Tick::from_millis(9)), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn system_clock_follows_paused_time_to_the_tick() {
        let clock = SystemClock::new();
        let start = clock.now();
        let until = start.after(Duration::from_secs(3600));
        clock.sleep_until(until).await;
        assert!(clock.now() >= until);
        assert!(clock.now() < until.after(Duration::from_secs(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_measured_is_finer_than_a_tick() {
        let clock = SystemClock::new();
        let start = clock.elapsed();
        tokio::time::advance(Duration::from_micros(1500)).await;
        assert_eq!(clock.elapsed() - start, Duration::from_micros(1500));
    }

    #[test]
    fn a_young_process_can_tell_how_old_an_entry_of_another_is() {
        let age = crate::lifetime::MAX_TTL;
        let now = SystemClock::new().now();
        assert_eq!(now.since(now.before(age)), age);
    }
}
