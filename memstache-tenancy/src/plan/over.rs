use std::fmt;

/// What happens to a tenant that wants more than its plan allows.
///
/// | resource | may be | default |
/// | --- | --- | --- |
/// | operations | `Refuse`, `ServeStale` | `Refuse` |
/// | bytes, entries | `EvictOwn`, `Refuse` | `EvictOwn` |
///
/// Loads have no choice: one that is over the limit is not begun, and who waits for it is answered with a stale value if
/// there is one, else refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OverQuota {
    /// The tenant's own entries make room, the ones that its store would evict first. Where the store cannot do that
    /// (Redis), the write is refused.
    EvictOwn,
    /// The call is [`Overloaded`](memstache_core::ErrorKind::Overloaded). For operations it says when to try again.
    Refuse,
    /// Reads are answered with what the nearest tier holds, fresh or in its grace: the near cache, which asks nobody below,
    /// or without one the store. What is not there is refused and not loaded; so is everything but reads.
    ServeStale,
}

impl OverQuota {
    /// Every one of them.
    pub const ALL: &[Self] = &[Self::EvictOwn, Self::Refuse, Self::ServeStale];

    /// Returns the name that configurations use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EvictOwn => "evict-own",
            Self::Refuse => "refuse",
            Self::ServeStale => "serve-stale",
        }
    }
}

impl fmt::Display for OverQuota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
