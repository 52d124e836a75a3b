//! A breaker that many callers share.

use std::{fmt, future::Future, sync::Arc};

use parking_lot::Mutex;

use super::{
    Breaker, BreakerConfig, BreakerSnapshot, BreakerState, Permit, Probing, Refused, Transition, Verdict,
    machine::BreakerId, within::Within,
};
use crate::{
    clock::{Clock, SystemClock, Tick},
    error::{Error, Result},
};

type Judge = Arc<dyn Fn(&Error) -> Verdict + Send + Sync>;

/// A circuit breaker that many callers share; clones are the same breaker.
///
/// Give it to the loads of a cache by [`CacheBuilder::source_breaker`](crate::CacheBuilder::source_breaker), or put
/// calls of your own through it. Its changes of state are `tracing` events.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> memstache_core::Result<()> {
/// use memstache_core::{Error, ErrorKind, resilience::{BreakerConfig, BreakerState, CircuitBreaker}};
///
/// let breaker = CircuitBreaker::new(BreakerConfig::source())?;
/// for _ in 0..5 {
///     let failed = breaker.run(async { Err::<u32, _>(Error::new(ErrorKind::Unavailable, "refused")) }).await;
///     assert!(failed.is_err());
/// }
/// assert_eq!(breaker.state(), BreakerState::Open);
/// let refused = breaker.run(async { Ok(7) }).await.unwrap_err();
/// assert!(refused.retry_after().is_some());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct CircuitBreaker(Arc<Shared>);

struct Shared {
    machine: Mutex<Breaker>,
    clock: Arc<dyn Clock>,
    judge: Judge,
    probing: Probing,
    listener: Option<Listener>,
    /// The last refusal and its error.
    refusal: Mutex<Option<(Refused, Error)>>,
}

type Listener = Arc<dyn Fn(BreakerState) + Send + Sync>;

impl CircuitBreaker {
    /// Creates a closed breaker by the system's clock; settings out of their limits are
    /// [`Invalid`](crate::ErrorKind::Invalid).
    pub fn new(config: BreakerConfig) -> Result<Self> {
        Ok(Self::of(Breaker::new(config)?, Arc::new(SystemClock::new()), Arc::new(Verdict::of), None))
    }

    /// Returns a closed breaker of the same settings by another clock; it must be the stack's.
    #[must_use]
    pub fn with_clock(self, clock: impl Clock) -> Self {
        Self::of(self.closed(), Arc::new(clock), Arc::clone(&self.0.judge), self.0.listener.clone())
    }

    /// Returns a closed breaker of the same settings that judges errors in another way. Default: [`Verdict::of`].
    ///
    /// For a source whose errors may be the caller's own fault: a bad request says nothing about its health.
    ///
    /// ```
    /// use memstache_core::{Error, resilience::{BreakerConfig, CircuitBreaker, Verdict}};
    ///
    /// // A loader's error is the source of the one that is judged.
    /// let breaker = CircuitBreaker::new(BreakerConfig::source())?.with_judge(|error: &Error| {
    ///     match error.find_source::<std::num::ParseIntError>() {
    ///         Some(_) => Verdict::Ignored,
    ///         None => Verdict::of(error),
    ///     }
    /// });
    /// # let _ = breaker;
    /// # Ok::<(), Error>(())
    /// ```
    #[must_use]
    pub fn with_judge(self, judge: impl Fn(&Error) -> Verdict + Send + Sync + 'static) -> Self {
        Self::of(self.closed(), Arc::clone(&self.0.clock), Arc::new(judge), self.0.listener.clone())
    }

    /// Returns a closed breaker of the same settings that tells when it opens, after whichever failure, and when it closes.
    ///
    /// It is told in the middle of calls, and must not wait.
    ///
    /// ```
    /// use std::sync::{Arc, atomic::{AtomicBool, Ordering::Relaxed}};
    /// use memstache_core::resilience::{BreakerConfig, BreakerState, CircuitBreaker, Verdict};
    ///
    /// let open = Arc::new(AtomicBool::new(false));
    /// let told = Arc::clone(&open);
    /// let breaker = CircuitBreaker::new(BreakerConfig::source().with_consecutive_failures(1))?
    ///     .with_listener(move |state| told.store(state == BreakerState::Open, Relaxed));
    /// breaker.try_call().unwrap().record(Verdict::Failure);
    /// assert!(open.load(Relaxed));
    /// # Ok::<(), memstache_core::Error>(())
    /// ```
    #[must_use]
    pub fn with_listener(self, told: impl Fn(BreakerState) + Send + Sync + 'static) -> Self {
        Self::of(self.closed(), Arc::clone(&self.0.clock), Arc::clone(&self.0.judge), Some(Arc::new(told)))
    }

    fn of(machine: Breaker, clock: Arc<dyn Clock>, judge: Judge, listener: Option<Listener>) -> Self {
        let probing = machine.config().probing;
        let refusal = Mutex::new(None);
        Self(Arc::new(Shared { machine: Mutex::new(machine), clock, judge, probing, listener, refusal }))
    }

    fn closed(&self) -> Breaker {
        Breaker::new(*self.0.machine.lock().config()).expect("the settings were checked")
    }

    /// Asks to make a call; say what came of it, or drop the answer if nothing was learnt.
    ///
    /// One that is [probed apart](super::Probing::Apart) refuses every call until [`try_probe`](Self::try_probe) was asked for
    /// and what it let through went well: whoever has no prober asks for both, as [`run`](Self::run) does.
    pub fn try_call(&self) -> Result<Admitted, Refused> {
        // A bound will do: a probe may come some milliseconds late.
        let now = self.0.clock.lower_bound();
        let permit = self.0.machine.lock().try_call(now).map_err(|refused| refused.by(self.id()))?;
        Ok(self.admitted(permit))
    }

    /// Asks to make a call that may be the probe, whoever is to probe.
    pub(crate) fn try_call_or_probe(&self) -> Result<Admitted, Refused> {
        self.try_call().or_else(|refused| self.try_probe().ok_or(refused))
    }

    /// Returns the error of a refused call: one for all that are refused in the same millisecond, so that refusing many
    /// calls costs no more than answering them.
    pub(crate) fn refusal(&self, refused: Refused) -> Error {
        let mut last = self.0.refusal.lock();
        if let Some((same, error)) = &*last
            && *same == refused
        {
            return error.clone();
        }
        let error = Error::from(refused);
        *last = Some((refused, error.clone()));
        error
    }

    /// Returns who probes, without a lock.
    pub(crate) fn probing(&self) -> Probing {
        self.0.probing
    }

    /// Which of all breakers it is, for as long as it lives.
    pub(crate) fn id(&self) -> BreakerId {
        BreakerId(Arc::as_ptr(&self.0).addr())
    }

    /// Asks for a probe of a breaker that is not closed; `None` if none is due.
    pub fn try_probe(&self) -> Option<Admitted> {
        let now = self.0.clock.now();
        let permit = self.0.machine.lock().try_probe(now)?;
        Some(self.admitted(permit))
    }

    /// Makes a call if the breaker lets it through, and takes note of what comes of it. It may be the probe, also of a
    /// breaker that is probed apart.
    ///
    /// A call within another one of the same breaker, in the same task, is a part of that one: it is let through and not
    /// counted by itself.
    ///
    /// # Cancellation
    /// A call that is dropped is no failure.
    pub async fn run<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        if Within::current().has(self) {
            return call.await;
        }
        let admitted = self.try_call_or_probe().map_err(|refused| self.refusal(refused))?;
        let result = Within::current().and(self).scope(call).await;
        admitted.ended(result.as_ref().err());
        result
    }

    /// Returns what it does with calls.
    pub fn state(&self) -> BreakerState {
        self.0.machine.lock().state()
    }

    /// Returns what it knows.
    pub fn snapshot(&self) -> BreakerSnapshot {
        let now = self.0.clock.now();
        self.0.machine.lock().snapshot(now)
    }

    /// Returns the settings.
    pub fn config(&self) -> BreakerConfig {
        *self.0.machine.lock().config()
    }

    pub(in crate::resilience) fn now(&self) -> Tick {
        self.0.clock.now()
    }

    /// Judges an error; its own refusal, wherever that came from, says nothing about what is called.
    pub(super) fn judge(&self, error: &Error) -> Verdict {
        let own = error.find_source::<Refused>().is_some_and(|refused| refused.is_by(self.id()));
        if own { Verdict::Ignored } else { (self.0.judge)(error) }
    }

    pub(super) fn clock(&self) -> &Arc<dyn Clock> {
        &self.0.clock
    }

    /// Returns when a probe is due, unless the breaker is closed.
    pub(super) fn probe_at(&self) -> Option<Tick> {
        self.0.machine.lock().probe_at()
    }

    fn admitted(&self, permit: Permit) -> Admitted {
        Admitted { breaker: self.clone(), permit: Some(permit) }
    }

    fn record(&self, permit: Permit, verdict: Verdict) {
        let clock = &self.0.clock;
        let now = if verdict == Verdict::Failure { clock.now() } else { clock.lower_bound() };
        let change = self.0.machine.lock().record(permit, verdict, now);
        match change {
            Some(Transition { to: BreakerState::Closed, .. }) => tracing::info!("a circuit breaker closed"),
            Some(Transition { from: BreakerState::Closed, .. }) => tracing::warn!("a circuit breaker opened"),
            Some(_) => tracing::debug!("the probe of a circuit breaker failed"),
            None => {}
        }
        if let (Some(change), Some(told)) = (change, &self.0.listener) {
            told(change.to);
        }
    }
}

impl fmt::Debug for CircuitBreaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitBreaker").field("state", &self.state()).finish_non_exhaustive()
    }
}

/// A call that a [`CircuitBreaker`] let through. Dropped, it counts as neither success nor failure.
#[derive(Debug)]
#[must_use = "say what came of the call"]
pub struct Admitted {
    breaker: CircuitBreaker,
    permit: Option<Permit>,
}

impl Admitted {
    /// Takes note of what the call says about the health of what was called.
    pub fn record(mut self, verdict: Verdict) {
        self.give_back(verdict);
    }

    /// Takes note of how the call ended: in an error, or well.
    pub fn ended(self, error: Option<&Error>) {
        let verdict = error.map_or(Verdict::Success, |error| self.breaker.judge(error));
        self.record(verdict);
    }

    /// Returns whether the call is a probe.
    pub fn is_probe(&self) -> bool {
        self.permit.as_ref().is_some_and(Permit::is_probe)
    }

    pub(super) fn breaker(&self) -> &CircuitBreaker {
        &self.breaker
    }

    fn give_back(&mut self, verdict: Verdict) {
        if let Some(permit) = self.permit.take() {
            self.breaker.record(permit, verdict);
        }
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.give_back(Verdict::Ignored);
    }
}
