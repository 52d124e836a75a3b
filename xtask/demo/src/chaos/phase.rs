//! What is broken, one thing after the other.

use std::fmt;

use memstache_core::{
    Error, ErrorKind,
    testing::{Fault, Faults},
};

use crate::database::{Outage, Reach};

/// Seconds that are left at least for all to come back.
const LEAST_RECOVERY: u64 = 4;

/// A time in which something is broken, or nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Calm,
    StoreFails,
    StoreHangs,
    SourceFails,
    SourceHangs,
    BothHang,
    Recovery,
}

impl Phase {
    const ALL: [Self; 7] = [
        Self::Calm,
        Self::StoreFails,
        Self::StoreHangs,
        Self::SourceFails,
        Self::SourceHangs,
        Self::BothHang,
        Self::Recovery,
    ];

    /// Returns all phases in their order, with the seconds of each.
    pub(super) fn plan(seconds: u64) -> impl Iterator<Item = (Self, u64)> {
        Self::ALL.into_iter().map(move |phase| match phase {
            Self::Recovery => (phase, seconds.max(LEAST_RECOVERY)),
            _ => (phase, seconds),
        })
    }

    /// Returns the seconds of the whole plan.
    pub(super) fn total(seconds: u64) -> u64 {
        Self::plan(seconds).map(|(_, seconds)| seconds).sum()
    }

    /// Repairs what the phase before has broken, then breaks what is broken in this one.
    pub(super) fn begin(self, store: &Faults, source: &Outage) {
        store.heal();
        match self {
            Self::StoreFails => {
                store.inject(Fault::before(Error::new(ErrorKind::Unavailable, "the store is gone, on purpose")));
            }
            Self::StoreHangs | Self::BothHang => store.inject(Fault::hang()),
            Self::Calm | Self::SourceFails | Self::SourceHangs | Self::Recovery => {}
        }
        source.becomes(match self {
            Self::SourceFails => Reach::Fails,
            Self::SourceHangs | Self::BothHang => Reach::Hangs,
            Self::Calm | Self::StoreFails | Self::StoreHangs | Self::Recovery => Reach::Up,
        });
    }

    /// Whether the database answers.
    pub(super) fn has_source(self) -> bool {
        !matches!(self, Self::SourceFails | Self::SourceHangs | Self::BothHang)
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Calm => "calm",
            Self::StoreFails => "store fails",
            Self::StoreHangs => "store hangs",
            Self::SourceFails => "database fails",
            Self::SourceHangs => "database hangs",
            Self::BothHang => "both hang",
            Self::Recovery => "recovery",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_seconds_and_the_last_is_long_enough() {
        let seconds = |each| Phase::plan(each).map(|(_, seconds)| seconds).collect::<Vec<_>>();
        assert_eq!((seconds(1), Phase::total(1)), (vec![1, 1, 1, 1, 1, 1, 4], 10));
        assert_eq!((seconds(5), Phase::total(5)), (vec![5; 7], 35));
    }

    #[test]
    fn only_while_it_is_broken_the_source_is_away() {
        let away: Vec<_> = Phase::ALL.into_iter().filter(|phase| !phase.has_source()).collect();
        assert_eq!(away, [Phase::SourceFails, Phase::SourceHangs, Phase::BothHang]);
    }
}
