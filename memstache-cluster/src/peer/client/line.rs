//! A place for a connection to a peer: made when it is needed, made again when it is lost.

use std::{future::Future, sync::Arc, time::Duration};

use memstache_core::{Error, ErrorKind, Result, Tick};
use parking_lot::Mutex;
use tokio::{sync::Notify, task::AbortHandle};

use super::{
    connection::Connection,
    dial::{Means, Whom},
    driver::{Driver, Silent},
    stats::Counters,
};
use crate::peer::until::until;

/// A place for a connection to a peer.
pub(super) struct Line {
    means: Arc<Means>,
    counters: Arc<Counters>,
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    phase: Phase,
    /// The connection leads, or is to lead, there.
    whom: Option<Whom>,
    /// Failures to connect, one after the other.
    failures: u32,
    /// Nobody answered the last time: callers do not wait for the next attempt.
    silent: bool,
    last_error: Option<Error>,
    closed: bool,
    /// Counts attempts, so that a task knows whether it is still the one.
    attempt: u64,
}

enum Phase {
    /// No connection, and none is tried for before then.
    Down {
        until: Tick,
    },
    Dialling(AbortHandle),
    Up(Arc<Connection>, AbortHandle),
}

impl Line {
    pub(super) fn new(means: Arc<Means>, counters: Arc<Counters>) -> Self {
        let state = State {
            phase: Phase::Down { until: Tick::default() },
            whom: None,
            failures: 0,
            silent: false,
            last_error: None,
            closed: false,
            attempt: 0,
        };
        Self { means, counters, state: Mutex::new(state), changed: Notify::new() }
    }

    /// Returns the connection, if there is one to this life of the peer.
    pub(super) fn up(&self, whom: &Whom) -> Option<Arc<Connection>> {
        match &self.state.lock().phase {
            Phase::Up(connection, _) if fits(connection, whom) => Some(Arc::clone(connection)),
            _ => None,
        }
    }

    /// Returns whether there is a connection, and how many calls are under way on it.
    pub(super) fn in_flight(&self) -> Option<usize> {
        let connection = match &self.state.lock().phase {
            Phase::Up(connection, _) => Arc::clone(connection),
            _ => return None,
        };
        Some(connection.in_flight())
    }

    /// Returns the connection; makes it if there is none, and waits for that until the deadline.
    ///
    /// Errors, all without effect: `Unavailable`, at once if the last attempt failed a moment ago; `Timeout`.
    pub(super) async fn connection(self: &Arc<Self>, whom: &Whom, deadline: Option<Tick>) -> Result<Arc<Connection>> {
        loop {
            // Told of every change from here on, also before it is polled.
            let changed = self.changed.notified();
            if let Some(connection) = self.look(whom)? {
                return Ok(connection);
            }
            if until(&self.means.clock, deadline, changed).await.is_none() {
                return Err(
                    Error::new(ErrorKind::Timeout, "no connection to the peer before the deadline").without_effect()
                );
            }
        }
    }

    /// Returns the connection, or begins to make one. `None` if that is worth waiting for.
    fn look(self: &Arc<Self>, whom: &Whom) -> Result<Option<Arc<Connection>>> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(Error::new(ErrorKind::Unavailable, "this node is stopping").without_effect());
        }
        // Who knows of an earlier life only is not followed back to it.
        if state.whom.as_ref().is_none_or(|known| known != whom && known.incarnation <= whom.incarnation) {
            state.turn_to(whom);
        }
        match &state.phase {
            Phase::Up(connection, _) if connection.is_usable() => return Ok(Some(Arc::clone(connection))),
            Phase::Up(connection, _) => {
                // It is closed, or takes no more calls: what is under way there goes on.
                connection.abandon();
                self.begin(&mut state);
            }
            Phase::Dialling(_) => {}
            Phase::Down { until } => {
                let left = until.since(self.means.clock.now());
                if !left.is_zero() {
                    return Err(state.refusal().with_retry_after(left));
                }
                self.begin(&mut state);
            }
        }
        if state.silent { Err(state.refusal()) } else { Ok(None) }
    }

    /// Begins to connect, in a task of its own: who waits may leave.
    fn begin(self: &Arc<Self>, state: &mut State) {
        let Some(whom) = state.whom.clone() else { return };
        state.attempt += 1;
        let (line, attempt) = (Arc::clone(self), state.attempt);
        let task = tokio::spawn(async move {
            let dialled = line.means.dial(&whom).await;
            line.dialled(attempt, dialled);
        });
        state.phase = Phase::Dialling(task.abort_handle());
    }

    fn dialled(self: &Arc<Self>, attempt: u64, dialled: Result<Arc<Connection>>) {
        let mut state = self.state.lock();
        if state.attempt != attempt || state.closed {
            return;
        }
        match dialled {
            Ok(connection) => {
                self.counters.connected();
                (state.failures, state.silent, state.last_error) = (0, false, None);
                let task = tokio::spawn(self.drive(Arc::clone(&connection), attempt)).abort_handle();
                state.phase = Phase::Up(connection, task);
            }
            Err(error) => {
                self.counters.connect_failed();
                tracing::debug!(error = %error, "a peer cannot be connected to");
                state.silent = error.find_source::<Silent>().is_some();
                state.failures = state.failures.saturating_add(1);
                let until = self.means.clock.now().after(self.backoff(state.failures));
                state.last_error = Some(error);
                state.phase = Phase::Down { until };
            }
        }
        drop(state);
        self.changed.notify_waiters();
    }

    fn drive(self: &Arc<Self>, connection: Arc<Connection>, attempt: u64) -> impl Future<Output = ()> + Send + 'static {
        let driver = Driver::new(connection, Arc::clone(&self.means.config));
        let line = Arc::clone(self);
        async move {
            let error = driver.await;
            line.lost(attempt, error);
        }
    }

    fn lost(self: &Arc<Self>, attempt: u64, error: Error) {
        if error.kind() == ErrorKind::Protocol {
            self.counters.bad_frame();
            tracing::warn!(error = %error, "a connection to a peer was closed");
        } else {
            tracing::debug!(error = %error, "a connection to a peer ended");
        }
        let mut state = self.state.lock();
        if state.attempt != attempt || state.closed {
            return;
        }
        state.phase = Phase::Down { until: Tick::default() };
        state.silent = error.find_source::<Silent>().is_some();
        state.last_error = Some(error);
        if state.silent {
            self.counters.silent();
            // Whether only the connection was silent, or the peer is, is found out without a caller.
            self.begin(&mut state);
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// Doubles with each failure, and is drawn from the upper half of that: not all come back at once.
    fn backoff(&self, failures: u32) -> Duration {
        let config = &self.means.config;
        let doubled = config.backoff.saturating_mul(1 << failures.saturating_sub(1).min(16));
        doubled.min(config.max_backoff).mul_f64(0.5 + 0.5 * fastrand::f64())
    }

    /// Ends the connection and everything under way on it.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        let phase = std::mem::replace(&mut state.phase, Phase::Down { until: Tick::NEVER });
        drop(state);
        phase.end();
        self.changed.notify_waiters();
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        std::mem::replace(&mut self.state.get_mut().phase, Phase::Down { until: Tick::NEVER }).end();
    }
}

impl State {
    /// The peer has moved, or lives anew.
    fn turn_to(&mut self, whom: &Whom) {
        let same_place = self.whom.as_ref().is_some_and(|old| old.address == whom.address);
        self.whom = Some(whom.clone());
        match &self.phase {
            Phase::Up(connection, _) if same_place && fits(connection, whom) => {}
            _ => {
                self.attempt += 1;
                (self.failures, self.silent, self.last_error) = (0, false, None);
                match std::mem::replace(&mut self.phase, Phase::Down { until: Tick::default() }) {
                    Phase::Up(connection, _) => connection.abandon(),
                    other => other.end(),
                }
            }
        }
    }

    fn refusal(&self) -> Error {
        let why = self.last_error.as_ref().map_or_else(|| "not connected".to_owned(), ToString::to_string);
        let mut error = Error::new(ErrorKind::Unavailable, why).without_effect();
        if let Some(last) = &self.last_error {
            error = error.with_retryable(last.is_retryable()).with_source(last.clone());
        }
        error
    }
}

impl Phase {
    fn end(self) {
        match self {
            Self::Down { .. } => {}
            Self::Dialling(task) => task.abort(),
            Self::Up(connection, task) => {
                connection.close(&Error::new(ErrorKind::Unavailable, "this node closed the connection"));
                task.abort();
            }
        }
    }
}

/// Whether a connection leads to this life of the peer, or to a later one that membership has not heard of.
fn fits(connection: &Connection, whom: &Whom) -> bool {
    connection.info.remote == Some(whom.address) && connection.info.incarnation >= whom.incarnation
}
