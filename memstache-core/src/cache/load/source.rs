//! The circuit breaker of a data source, where there is one.

use crate::error::{Error, Result};
#[cfg(feature = "resilience")]
use crate::resilience::{Admitted, CircuitBreaker, Verdict};

/// What stands between loads and their source.
#[derive(Clone, Debug, Default)]
pub(crate) struct Source {
    #[cfg(feature = "resilience")]
    pub(crate) breaker: Option<CircuitBreaker>,
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
    /// Asks to load; the error says when to try again.
    pub(super) fn enter(&self) -> Result<Pass> {
        let admitted = self.breaker.as_ref().map(CircuitBreaker::try_call).transpose().map_err(Error::from)?;
        Ok(Pass { admitted })
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
}

#[cfg(not(feature = "resilience"))]
impl Pass {
    #[expect(clippy::unused_self, reason = "with breakers it tells one")]
    pub(super) fn ended(self, _: Option<&Error>) {}
}
