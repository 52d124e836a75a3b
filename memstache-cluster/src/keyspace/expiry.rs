//! When a value ends.

use std::time::{Duration, SystemTime};

use memstache_core::{Error, Lifetime, Result};

/// When a value ends: after a span, or at a wall-clock instant.
///
/// An instant that has passed, and a span of zero, mean that the value is answered and not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Expiry {
    /// So long after it was stored.
    After(Duration),
    /// At this instant.
    At(SystemTime),
}

impl Expiry {
    /// Returns what is left of it; zero if it is over.
    pub(crate) fn left(self, wall: SystemTime) -> Duration {
        match self {
            Self::After(ttl) => ttl,
            Self::At(instant) => instant.duration_since(wall).unwrap_or_default(),
        }
    }
}

/// Returns how long a value lives that is put or loaded now; `None` if it is over already.
///
/// The first of `ends` that says anything decides, in the order of precedence.
pub(crate) fn lifetime(
    ends: impl IntoIterator<Item = Option<Expiry>>,
    stale_for: Duration,
    wall: SystemTime,
) -> Result<Option<Lifetime>> {
    let lifetime = match ends.into_iter().flatten().next() {
        None => Lifetime::UNLIMITED,
        Some(end) => match end.left(wall) {
            Duration::ZERO => return Ok(None),
            left => Lifetime::new(left).map_err(|error| Error::invalid("expiry", "a ttl", error))?,
        },
    };
    lifetime.with_stale_for(stale_for).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_end_that_is_given_decides() {
        let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        let secs = |secs| Some(Expiry::After(Duration::from_secs(secs)));
        let at = |secs| Some(Expiry::At(SystemTime::UNIX_EPOCH + Duration::from_secs(secs)));
        let ttl = |ends: [Option<Expiry>; 3]| {
            lifetime(ends, Duration::ZERO, wall).unwrap().map(|lifetime| lifetime.ttl().map(|ttl| ttl.as_secs()))
        };
        assert_eq!(ttl([secs(1), secs(2), secs(3)]), Some(Some(1)));
        assert_eq!(ttl([None, at(1007), secs(3)]), Some(Some(7)));
        assert_eq!(ttl([None, None, secs(3)]), Some(Some(3)));
        assert_eq!(ttl([None, None, None]), Some(None), "none at all");
        assert_eq!(ttl([at(1000), secs(2), None]), None, "what is over is not kept");
        assert_eq!(ttl([secs(0), secs(2), None]), None);
        assert!(lifetime([Some(Expiry::After(Duration::MAX))], Duration::ZERO, wall).is_err());
    }
}
