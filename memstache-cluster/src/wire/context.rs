//! What travels beside a call.

use memstache_core::Tick;
pub(crate) use memstache_core::observe::TraceContext;

/// What travels beside a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CallContext {
    /// When the caller gives up, by the clock of the one who reads this. Default: never.
    pub(crate) deadline: Option<Tick>,
    /// The epoch of the caller's table.
    pub(crate) epoch: u64,
    /// How many nodes it has passed: zero from the caller itself.
    pub(crate) hop: u8,
    /// The span that the call belongs to, if it is traced.
    pub(crate) trace: Option<TraceContext>,
}

impl CallContext {
    /// A call that ends at `deadline`.
    pub(crate) const fn until(deadline: Tick) -> Self {
        Self { deadline: Some(deadline), epoch: 0, hop: 0, trace: None }
    }

    /// By the table of this epoch.
    #[must_use]
    pub(crate) const fn at_epoch(mut self, epoch: u64) -> Self {
        self.epoch = epoch;
        self
    }

    /// Within a span.
    #[must_use]
    pub(crate) const fn traced(mut self, trace: Option<TraceContext>) -> Self {
        self.trace = trace;
        self
    }
}
