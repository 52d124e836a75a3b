//! Within which breakers' calls a task is.

use std::{future::Future, sync::Arc};

use super::{CircuitBreaker, machine::BreakerId};

tokio::task_local! {
    static WITHIN: Within;
}

/// The breakers whose calls something is a part of: it has been let through by them already.
#[derive(Clone, Debug, Default)]
pub(crate) struct Within(Option<Arc<[BreakerId]>>);

impl Within {
    /// Returns those of the running task.
    pub(crate) fn current() -> Self {
        WITHIN.try_with(Self::clone).unwrap_or_default()
    }

    pub(crate) fn has(&self, breaker: &CircuitBreaker) -> bool {
        self.ids().contains(&breaker.id())
    }

    /// Adds one.
    #[must_use]
    pub(crate) fn and(&self, breaker: &CircuitBreaker) -> Self {
        if self.has(breaker) {
            return self.clone();
        }
        Self(Some(self.ids().iter().copied().chain([breaker.id()]).collect()))
    }

    /// Runs a part of their calls.
    pub(crate) async fn scope<T>(self, part: impl Future<Output = T>) -> T {
        WITHIN.scope(self, part).await
    }

    fn ids(&self) -> &[BreakerId] {
        self.0.as_deref().unwrap_or_default()
    }
}
