//! The circuit breaker of a data source, where there is one.

use crate::error::{Error, Result};
#[cfg(feature = "resilience")]
use crate::resilience::{Admitted, CircuitBreaker, Probing, Verdict, Within};

/// What stands between loads and their source.
#[derive(Clone, Debug, Default)]
pub(crate) struct Source {
    #[cfg(feature = "resilience")]
    pub(crate) breaker: Option<CircuitBreaker>,
    /// The loads of which this one is a part.
    #[cfg(feature = "resilience")]
    within: Within,
}

/// A load that was let through to its source.
///
/// Dropped without an end, everybody who waited for the load ran out of time: that is a failure of the source.
pub(super) struct Pass {
    #[cfg(feature = "resilience")]
    admitted: Option<Admitted>,
}

#[cfg(feature = "resilience")]
impl Source {
    /// Refuses a breaker that would never close again: nobody probes a data source apart.
    pub(crate) fn check(&self) -> Result<()> {
        match &self.breaker {
            Some(breaker) if breaker.probing() != Probing::Requests => {
                Err(Error::invalid("source_breaker", "probed by requests", "one that is probed apart"))
            }
            _ => Ok(()),
        }
    }

    /// Notes of which loads the next one is a part: those that the running task is.
    pub(super) fn here(&self) -> Self {
        Self { within: Within::current(), ..self.clone() }
    }

    /// Asks to load; the error says when to try again. A part of a load that was let through is let through with it.
    pub(super) fn enter(&self) -> Result<Pass> {
        let breaker = self.breaker.as_ref().filter(|breaker| !self.within.has(breaker));
        let enter = |breaker: &CircuitBreaker| breaker.try_call_or_probe().map_err(|refused| breaker.refusal(refused));
        let admitted = breaker.map(enter).transpose()?;
        Ok(Pass { admitted })
    }

    /// Runs a loader: the loads that it asks for are parts of this one.
    pub(super) async fn around<T>(&self, load: impl Future<Output = T>) -> T {
        let within = self.breaker.as_ref().map_or_else(|| self.within.clone(), |breaker| self.within.and(breaker));
        within.scope(load).await
    }
}

#[cfg(feature = "resilience")]
impl Pass {
    /// Takes note of how the load ended.
    pub(super) fn ended(mut self, error: Option<&Error>) {
        if let Some(admitted) = self.admitted.take() {
            admitted.ended(error);
        }
    }
}

#[cfg(feature = "resilience")]
impl Drop for Pass {
    fn drop(&mut self) {
        if let Some(admitted) = self.admitted.take() {
            admitted.record(Verdict::Failure);
        }
    }
}

#[cfg(not(feature = "resilience"))]
impl Source {
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "with breakers it asks one")]
    pub(super) fn enter(&self) -> Result<Pass> {
        Ok(Pass {})
    }

    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "with breakers it asks one")]
    pub(crate) fn check(&self) -> Result<()> {
        Ok(())
    }

    pub(super) fn here(&self) -> Self {
        self.clone()
    }

    #[allow(clippy::unused_self, reason = "with breakers it is theirs")]
    pub(super) async fn around<T>(&self, load: impl Future<Output = T>) -> T {
        load.await
    }
}

#[cfg(not(feature = "resilience"))]
impl Pass {
    #[expect(clippy::unused_self, reason = "with breakers it tells one")]
    pub(super) fn ended(self, _: Option<&Error>) {}
}
