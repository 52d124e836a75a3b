//! What most entries say of themselves, in little room.

use std::time::Duration;

use super::cost;
use crate::{
    clock::{Tick, millis},
    entry::{Content, Meta, NewEntry},
    version::Version,
};

/// Says in `life` that an entry has no end.
pub(super) const FOREVER: u32 = u32::MAX;
/// Says in `life` that the class knows.
pub(super) const OWN: u32 = u32::MAX - 1;

/// What a slot has room for of a [`Meta`].
#[derive(Clone, Copy)]
pub(crate) struct Small {
    pub(super) version: u64,
    pub(super) written: u64,
    pub(super) life: u32,
    pub(super) stale_for: u32,
}

impl Small {
    /// Returns `None` if something of it would be lost.
    pub(crate) fn new(meta: &Meta) -> Option<Self> {
        if !meta.tags.is_empty() || meta.sliding.is_some() || meta.fresh_until != meta.hard_until {
            return None;
        }
        let life = match meta.fresh_until {
            Tick::NEVER => None,
            until => Some(until.as_millis().checked_sub(meta.written_at.as_millis())?),
        };
        let small = Self::from_parts(meta.written_at, life, meta.stale_for, meta.load_cost, &meta.content)?;
        let version = within(meta.version.0, 48)? << 16 | small.version;
        Some(Self { version, ..small })
    }

    /// Makes the same of a new entry without the detour; the version is to be stamped.
    pub(crate) fn of_new(entry: &NewEntry, now: Tick) -> Option<Self> {
        if !entry.tags.is_empty() || entry.lifetime.sliding().is_some() {
            return None;
        }
        let (life, grace) = (entry.lifetime.ttl().map(millis), entry.lifetime.stale_for());
        Self::from_parts(now, life, grace, entry.load_cost, &entry.content)
    }

    #[inline]
    fn from_parts(
        written_at: Tick,
        life: Option<u64>,
        stale_for: Duration,
        load_cost: Duration,
        content: &Content,
    ) -> Option<Self> {
        // What the tail has no room for.
        u32::try_from(content.plain_len).ok()?;
        let life = match life {
            None => FOREVER,
            Some(life) => u32::try_from(life).ok().filter(|life| *life < OWN)?,
        };
        let grace = if stale_for.is_zero() { 0 } else { u32::try_from(millis(stale_for)).ok()? };
        (grace == 0 || Duration::from_millis(grace.into()) == stale_for).then_some(())?;
        Some(Self {
            version: if load_cost.is_zero() { 0 } else { cost::to_bits(load_cost)?.into() },
            written: within(written_at.as_millis(), 48)? << 16,
            life,
            stale_for: grace,
        })
    }

    /// Gives it another version, one that a store of this process counted: those have 48 bits.
    pub(crate) fn stamp(&mut self, version: Version) {
        self.version = version.0 << 16 | self.version & 0xffff;
    }
}

fn within(number: u64, bits: u32) -> Option<u64> {
    (number >> bits == 0).then_some(number)
}
