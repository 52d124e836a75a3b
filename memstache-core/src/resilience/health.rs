//! How the layers are, for health.

use super::{BreakerState, CircuitBreaker, Resilience};
use crate::health::{Health, PartHealth};

/// Degraded while it is not closed: since when, and how often calls were refused.
impl Health for CircuitBreaker {
    fn health(&self) -> PartHealth {
        let snapshot = self.snapshot();
        let part = PartHealth::healthy("breaker")
            .with("state", snapshot.state.as_str())
            .with("consecutive_failures", u64::from(snapshot.consecutive_failures))
            .with("opened", snapshot.opened)
            .with("refused", snapshot.refused);
        if snapshot.state == BreakerState::Closed {
            return part;
        }
        let since = snapshot.failing_since.map(|since| self.now().since(since)).unwrap_or_default();
        part.degraded("what is called fails: calls are refused").since(since)
    }
}

/// Of the limits and the retries; the breaker is a part of its own. Degraded while a limit is full.
impl Health for Resilience {
    fn health(&self) -> PartHealth {
        let snapshot = self.snapshot();
        let (calls, bytes) = (snapshot.calls, snapshot.bytes);
        let part = PartHealth::healthy("limits")
            .with("calls", calls.taken)
            .with("max_calls", calls.most)
            .with("waiting", calls.waiting)
            .with("bytes", bytes.taken)
            .with("max_bytes", bytes.most)
            .with("shed", calls.refused.saturating_add(bytes.refused))
            .with("rate_refused", snapshot.rate.refused)
            .with("retries", snapshot.retry.retries)
            .with("timeouts", snapshot.timeouts);
        let full = |limit: super::LimitSnapshot| limit.most > 0 && limit.taken >= limit.most;
        if full(calls) || full(bytes) { part.degraded("a limit is reached: calls are shed") } else { part }
    }
}
