//! Fresh, stale or expired: pure functions of what is known about an entry and the current tick.

use std::time::Duration;

use crate::{clock::Tick, entry::Meta};

/// Whether an entry may be served, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the three states are the definition")]
pub enum Freshness {
    /// Served as a hit.
    Fresh,
    /// Served only as stale.
    Stale,
    /// Not served.
    Expired,
}

/// Judges an entry at `now` for a reader who accepts nothing confirmed longer ago than `max_staleness`.
///
/// The grace thus ends at the smaller of `stale_for` and what `max_staleness` leaves. A negative record has none: there
/// is no value to serve.
pub fn freshness(meta: &Meta, now: Tick, max_staleness: Option<Duration>) -> Freshness {
    if max_staleness.is_some_and(|max| now.since(meta.confirmed_at) > max) {
        return Freshness::Expired;
    }
    if now < meta.fresh_until {
        return Freshness::Fresh;
    }
    if now < dead_at(meta) { Freshness::Stale } else { Freshness::Expired }
}

/// Returns the tick up to which the entry's authority vouches for it when asked at `now`.
///
/// A fresh entry is confirmed by being asked for; a stale one was last confirmed when its freshness ended.
pub fn confirmed_by_authority(meta: &Meta, now: Tick) -> Tick {
    now.min(meta.fresh_until)
}

/// Returns when nobody may be served the entry any more.
pub fn dead_at(meta: &Meta) -> Tick {
    if meta.content.negative { meta.fresh_until } else { meta.fresh_until.after(meta.stale_for) }
}

/// Returns the new end of freshness when a hit at `now` extends a sliding entry.
///
/// Only once less than 90 % of the window is left, so that a hot key does not write on every read.
#[inline(never)]
pub fn extended(meta: &Meta, now: Tick) -> Option<Tick> {
    let window = meta.sliding?;
    let left = meta.fresh_until.since(now);
    if left.is_zero() || left.saturating_mul(10) >= window.saturating_mul(9) {
        return None;
    }
    let until = now.after(window).min(meta.hard_until);
    (until > meta.fresh_until).then_some(until)
}

/// Returns whether `fraction` of the entry's fresh life has passed, so that a reader should refresh it ahead.
pub fn due_ahead(meta: &Meta, now: Tick, fraction: f64) -> bool {
    meta.fresh_until != Tick::NEVER
        && now >= meta.written_at.after(meta.fresh_until.since(meta.written_at).mul_f64(fraction))
}

/// Returns whether this reader should refresh the entry early, by chance: the more likely the nearer the end and the
/// dearer the load. `random` is uniform in 0..1.
///
/// XFetch: Vattani, Chierichetti, Lowenstein, "Optimal Probabilistic Cache Stampede Prevention", VLDB 2015.
pub fn due_by_chance(meta: &Meta, now: Tick, beta: f64, random: f64) -> bool {
    if meta.fresh_until == Tick::NEVER || meta.load_cost.is_zero() {
        return false;
    }
    let early = meta.load_cost.as_secs_f64() * beta * -(1.0 - random).ln();
    meta.fresh_until.since(now).as_secs_f64() <= early
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        entry::NewEntry,
        lifetime::Lifetime,
        version::{Sequence, Version},
    };

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    fn at(secs: u64) -> Tick {
        Tick::from_millis(secs * 1000)
    }

    fn meta(lifetime: Lifetime) -> Meta {
        NewEntry::new("v", lifetime).into_entry(at(100), Version(1), Sequence(0)).meta
    }

    #[test]
    fn fresh_then_stale_then_expired_to_the_millisecond() {
        let meta = meta(Lifetime::new(secs(10)).unwrap().with_stale_for(secs(5)).unwrap());
        let judge = |millis| freshness(&meta, Tick::from_millis(millis), None);
        assert_eq!(judge(109_999), Freshness::Fresh);
        assert_eq!(judge(110_000), Freshness::Stale);
        assert_eq!(judge(114_999), Freshness::Stale);
        assert_eq!(judge(115_000), Freshness::Expired);
        assert_eq!(dead_at(&meta), at(115));
    }

    #[test]
    fn a_negative_record_has_no_grace() {
        let mut meta = meta(Lifetime::new(secs(10)).unwrap().with_stale_for(secs(5)).unwrap());
        meta.content.negative = true;
        assert_eq!(freshness(&meta, at(109), None), Freshness::Fresh);
        assert_eq!(freshness(&meta, at(110), None), Freshness::Expired);
        assert_eq!(dead_at(&meta), at(110));
    }

    #[test]
    fn grace_is_the_smaller_of_stale_for_and_what_max_staleness_leaves() {
        let mut meta = meta(Lifetime::new(secs(10)).unwrap().with_stale_for(secs(60)).unwrap());
        // A copy taken 4 s before freshness ended: 10 s of staleness leave it 6 s of grace.
        meta.confirmed_at = at(106);
        assert_eq!(freshness(&meta, at(116), Some(secs(10))), Freshness::Stale);
        assert_eq!(freshness(&meta, Tick::from_millis(116_001), Some(secs(10))), Freshness::Expired);
        assert_eq!(freshness(&meta, at(109), Some(secs(2))), Freshness::Expired, "caps fresh copies too");
    }

    #[test]
    fn sliding_is_extended_below_ninety_percent_and_never_past_the_hard_deadline() {
        let mut meta = meta(Lifetime::new(secs(15)).unwrap().with_sliding(secs(10)).unwrap());
        assert_eq!(meta.fresh_until, at(110));
        assert_eq!(extended(&meta, at(101)), None, "90 % are left");
        assert_eq!(extended(&meta, at(103)), Some(at(113)));
        meta.fresh_until = at(113);
        assert_eq!(extended(&meta, at(112)), Some(at(115)));
        meta.fresh_until = at(115);
        assert_eq!(extended(&meta, at(114)), None);
        assert_eq!(extended(&meta, at(115)), None, "too late");
    }

    #[test]
    fn early_refresh_by_fraction() {
        let unlimited = meta(Lifetime::UNLIMITED);
        let meta = meta(Lifetime::new(secs(10)).unwrap());
        assert!(!due_ahead(&meta, at(107), 0.8));
        assert!(due_ahead(&meta, at(108), 0.8));
        assert!(!due_ahead(&unlimited, at(1_000_000), 0.1));
    }

    #[test]
    fn early_refresh_by_chance_nears_the_end() {
        let mut meta = meta(Lifetime::new(secs(100)).unwrap());
        assert!(!due_by_chance(&meta, at(199), 2.0, 0.999), "a load that costs nothing is never early");
        meta.load_cost = secs(1);
        let share = |now| (0..1000).filter(|n| due_by_chance(&meta, now, 2.0, f64::from(*n) / 1000.0)).count();
        // exp(-left / (cost * beta)): 1 s left -> 0.61, 4 s -> 0.14, 50 s -> 0.
        assert!((600..=613).contains(&share(at(199))));
        assert!((130..=140).contains(&share(at(196))));
        assert_eq!(share(at(150)), 0);
    }

    proptest! {
        #[test]
        fn an_entry_only_ever_ages(ttl in 1u64..1000, grace in 0u64..1000, max in prop::option::of(0u64..2000)) {
            let meta = meta(Lifetime::new(secs(ttl)).unwrap().with_stale_for(secs(grace)).unwrap());
            let rank = |second| match freshness(&meta, at(second), max.map(secs)) {
                Freshness::Fresh => 0, Freshness::Stale => 1, Freshness::Expired => 2,
            };
            for second in 100..2200 { prop_assert!(rank(second) <= rank(second + 1)); }
            prop_assert_eq!(rank(100 + ttl + grace), 2);
        }
    }
}
