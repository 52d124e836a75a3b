//! The state machine alone: it is told the time and what happened, and does nothing by itself.

use std::{fmt, sync::Arc, time::Duration};

use super::{BreakerConfig, Probing, Verdict, window::Window};
use crate::{
    clock::Tick,
    error::{Error, ErrorKind, Result},
};

/// Least time that a probe is waited for before another one is let through.
const LEAST_PROBE: Duration = Duration::from_secs(1);

/// A circuit breaker without a clock, a lock or a runtime.
///
/// Ask for a [`Permit`] before each call, and [`record`](Self::record) what came of it. Time that jumps does no harm:
/// forward, a probe comes earlier; back, it comes at most `open_for` later than it would have.
///
/// ```
/// use std::time::Duration;
/// use memstache_core::{Tick, resilience::{Breaker, BreakerConfig, BreakerState, Verdict}};
///
/// let mut breaker = Breaker::new(BreakerConfig::source())?;
/// let mut now = Tick::from_millis(1_000);
/// for _ in 0..5 {
///     let permit = breaker.try_call(now).expect("closed");
///     breaker.record(permit, Verdict::Failure, now);
/// }
/// assert_eq!(breaker.state(), BreakerState::Open);
/// assert_eq!(breaker.try_call(now).expect_err("open").retry_after, Duration::from_secs(30));
///
/// now = now.after(Duration::from_secs(30));
/// let probe = breaker.try_call(now).expect("one probe");
/// assert!(breaker.try_call(now).is_err(), "no second one");
/// breaker.record(probe, Verdict::Success, now);
/// assert_eq!(breaker.state(), BreakerState::Closed);
/// # Ok::<(), memstache_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Breaker {
    config: BreakerConfig,
    state: State,
    /// Changes with every transition: what a call of an earlier state brings says nothing about this one.
    epoch: u64,
    /// Failures in a row.
    consecutive: u32,
    window: Option<Window>,
    opened: u64,
    refused: u64,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Closed,
    /// Calls are refused until then; failing since then.
    Open {
        until: Tick,
        since: Tick,
    },
    /// Some calls are let through as probes.
    HalfOpen {
        probes: Probes,
        since: Tick,
    },
}

#[derive(Clone, Copy, Debug)]
struct Probes {
    under_way: u32,
    succeeded: u32,
    /// When those that are under way are given up.
    until: Tick,
}

/// What a breaker does with calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BreakerState {
    /// Lets them through.
    Closed,
    /// Refuses them.
    Open,
    /// Lets probes through and refuses the others.
    HalfOpen,
}

impl BreakerState {
    /// Returns the state's name in lower case, as metrics, logs and health show it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

/// The right to make one call; give it back by [`Breaker::record`], whatever came of the call.
///
/// A permit that is lost is not counted; that of a probe holds its place for `open_for`, a second at least.
#[derive(Debug)]
#[must_use = "a permit that is not recorded tells nothing"]
pub struct Permit {
    epoch: u64,
    probe: bool,
}

impl Permit {
    /// Returns whether the call is a probe of a breaker that was open.
    pub const fn is_probe(&self) -> bool {
        self.probe
    }
}

/// A call that a breaker refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refused {
    /// When a probe is due; if one is under way, at the latest.
    pub retry_after: Duration,
    /// Who refused, if that has a name.
    by: Option<BreakerId>,
}

/// Which breaker it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BreakerId(pub(super) usize);

impl Refused {
    pub(super) fn by(self, breaker: BreakerId) -> Self {
        Self { by: Some(breaker), ..self }
    }

    pub(super) fn is_by(&self, breaker: BreakerId) -> bool {
        self.by == Some(breaker)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the circuit breaker lets a probe through in {:?}", self.retry_after)
    }
}

impl std::error::Error for Refused {}

impl From<Refused> for Error {
    /// An [`Unavailable`](ErrorKind::Unavailable) error that says when to try again; the refusal is its
    /// [source](Error::find_source).
    fn from(refused: Refused) -> Self {
        Self::new(ErrorKind::Unavailable, "the circuit breaker is open: what is called was failing")
            .with_retry_after(refused.retry_after)
            .with_shared_source(Arc::new(refused))
    }
}

/// A change of state, for who logs or counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transition {
    /// What it was.
    pub from: BreakerState,
    /// What it is now.
    pub to: BreakerState,
}

/// What a breaker knows, for health and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BreakerSnapshot {
    /// What it does with calls.
    pub state: BreakerState,
    /// When it last stopped being closed, unless it is closed.
    pub failing_since: Option<Tick>,
    /// Failures in a row.
    pub consecutive_failures: u32,
    /// Calls in the window of the failure rate; zero without one.
    pub window_calls: u64,
    /// Failures among them.
    pub window_failures: u64,
    /// How often it went from closed to open.
    pub opened: u64,
    /// How many calls it refused.
    pub refused: u64,
}

impl Breaker {
    /// Creates a closed breaker; settings out of their limits are [`Invalid`](ErrorKind::Invalid).
    pub fn new(config: BreakerConfig) -> Result<Self> {
        config.check()?;
        let window = config.rate.map(|rate| Window::new(rate.window));
        Ok(Self { config, state: State::Closed, epoch: 0, consecutive: 0, window, opened: 0, refused: 0 })
    }

    /// Returns the settings.
    pub const fn config(&self) -> &BreakerConfig {
        &self.config
    }

    /// Returns what it does with calls. An open breaker is half-open from its first probe on.
    pub const fn state(&self) -> BreakerState {
        match self.state {
            State::Closed => BreakerState::Closed,
            State::Open { .. } => BreakerState::Open,
            State::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    /// Asks to make a call; it may be the probe of a breaker whose time has come, unless that is probed apart.
    pub fn try_call(&mut self, now: Tick) -> Result<Permit, Refused> {
        if matches!(self.state, State::Closed) {
            return Ok(self.permit(false));
        }
        self.anchor(now);
        let probe = if self.config.probing == Probing::Requests { self.try_probe(now) } else { None };
        probe.ok_or_else(|| {
            self.refused += 1;
            Refused { retry_after: self.probe_at().map_or(Duration::ZERO, |at| at.since(now)), by: None }
        })
    }

    /// Asks for a probe of a breaker that is not closed; `None` if none is due.
    pub fn try_probe(&mut self, now: Tick) -> Option<Permit> {
        self.anchor(now);
        let (mut probes, since) = match self.state {
            State::Closed => return None,
            State::Open { until, .. } if now < until => return None,
            State::Open { since, .. } => {
                self.epoch += 1;
                (Probes { under_way: 0, succeeded: 0, until: now.after(self.probe_span()) }, since)
            }
            State::HalfOpen { probes, since } => (probes, since),
        };
        let wanted = probes.under_way + probes.succeeded < self.config.probes;
        if !wanted && now >= probes.until {
            // Those that are under way were lost, or hang.
            self.epoch += 1;
            probes = Probes { under_way: 0, until: now.after(self.probe_span()), ..probes };
        } else if !wanted {
            return None;
        }
        probes.under_way += 1;
        self.state = State::HalfOpen { probes, since };
        Some(self.permit(true))
    }

    /// Returns when a probe is due, unless the breaker is closed: at once if there is room for one, else when those
    /// that are under way are given up.
    pub fn probe_at(&self) -> Option<Tick> {
        match self.state {
            State::Closed => None,
            State::Open { until, .. } => Some(until),
            State::HalfOpen { probes, .. } if probes.under_way + probes.succeeded < self.config.probes => {
                Some(Tick::default())
            }
            State::HalfOpen { probes, .. } => Some(probes.until),
        }
    }

    /// Takes note of what came of a call. Returns the change of state that it made.
    ///
    /// A call that was let through before the last change of state says nothing any more.
    #[expect(clippy::needless_pass_by_value, reason = "a permit is good for one call")]
    pub fn record(&mut self, permit: Permit, verdict: Verdict, now: Tick) -> Option<Transition> {
        if permit.epoch != self.epoch {
            return None;
        }
        let from = self.state();
        match self.state {
            State::Closed => self.called(verdict, now),
            State::HalfOpen { probes, since } => self.probed(probes, since, verdict, now),
            State::Open { .. } => {}
        }
        let to = self.state();
        (from != to).then_some(Transition { from, to })
    }

    /// Returns what it knows.
    pub fn snapshot(&mut self, now: Tick) -> BreakerSnapshot {
        let failing_since = match self.state {
            State::Closed => None,
            State::Open { since, .. } | State::HalfOpen { since, .. } => Some(since),
        };
        let counts = self.window.as_mut().map(|window| window.counts(now)).unwrap_or_default();
        BreakerSnapshot {
            state: self.state(),
            failing_since,
            consecutive_failures: self.consecutive,
            window_calls: counts.calls,
            window_failures: counts.failures,
            opened: self.opened,
            refused: self.refused,
        }
    }

    const fn permit(&self, probe: bool) -> Permit {
        Permit { epoch: self.epoch, probe }
    }

    fn called(&mut self, verdict: Verdict, now: Tick) {
        let failed = match verdict {
            Verdict::Ignored => return,
            Verdict::Success => false,
            Verdict::Failure => true,
        };
        self.consecutive = if failed { self.consecutive.saturating_add(1) } else { 0 };
        if let Some(window) = &mut self.window {
            window.add(failed, now);
        }
        if failed && self.is_enough(now) {
            self.opened += 1;
            self.open(now, now);
        }
    }

    fn probed(&mut self, mut probes: Probes, since: Tick, verdict: Verdict, now: Tick) {
        probes.under_way -= 1;
        match verdict {
            Verdict::Failure => {
                self.consecutive = self.consecutive.saturating_add(1);
                return self.open(now, since);
            }
            Verdict::Success => probes.succeeded += 1,
            Verdict::Ignored => {}
        }
        if probes.succeeded >= self.config.probes {
            return self.close();
        }
        self.state = State::HalfOpen { probes, since };
    }

    fn is_enough(&mut self, now: Tick) -> bool {
        if self.config.consecutive.is_some_and(|most| self.consecutive >= most) {
            return true;
        }
        let (Some(rate), Some(window)) = (self.config.rate, &mut self.window) else { return false };
        let counts = window.counts(now);
        counts.calls >= rate.least_calls && counts.failures as f64 >= rate.ratio * counts.calls as f64
    }

    fn open(&mut self, now: Tick, since: Tick) {
        self.epoch += 1;
        self.state = State::Open { until: now.after(self.config.open_for), since };
    }

    fn close(&mut self) {
        self.epoch += 1;
        self.state = State::Closed;
        self.consecutive = 0;
        if let Some(window) = &mut self.window {
            window.clear();
        }
    }

    /// For how long a probe keeps others away.
    fn probe_span(&self) -> Duration {
        self.config.open_for.max(LEAST_PROBE)
    }

    /// After time went back, waits no longer than from now on.
    fn anchor(&mut self, now: Tick) {
        let (open, probe) = (now.after(self.config.open_for), now.after(self.probe_span()));
        match &mut self.state {
            State::Closed => {}
            State::Open { until, .. } => *until = (*until).min(open),
            State::HalfOpen { probes, .. } => probes.until = probes.until.min(probe),
        }
    }
}
