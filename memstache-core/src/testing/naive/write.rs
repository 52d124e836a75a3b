//! How the naive store writes, removes and touches.

use super::{
    Sabotage,
    state::{Kept, State},
};
use crate::{
    address::Address,
    clock::Tick,
    coherence::Invalidation,
    entry::Meta,
    error::{Error, ErrorKind, Result},
    expiry::Freshness,
    lifetime::Lifetime,
    request::{LeaseId, SetItem, TouchItem, TouchKind, When, Written},
    version::{Sequence, Version},
};

/// What the condition of a write says about it.
enum Verdict {
    /// It is stored under this sequence.
    Store(Sequence),
    /// It is what is stored already.
    Repeated(Version),
    Refuse,
}

impl State {
    pub(super) fn set(&mut self, item: SetItem, now: Tick) -> Result<Written> {
        let SetItem { address, entry, when } = item;
        let bare = entry.options.encrypt == Some(true) && !entry.content.sealed;
        if bare && !self.is(Sabotage::StoresUnsealed) {
            return Err(Error::new(ErrorKind::Unsupported, "the entry is to be sealed, and nothing has sealed it"));
        }
        let sequence = match self.judge(&address, when, now) {
            Verdict::Store(sequence) => sequence,
            Verdict::Repeated(version) => return Ok(Written::Stored(version)),
            Verdict::Refuse => {
                if self.is(Sabotage::EndsLeaseOnRefusal) {
                    self.end_lease(&address);
                }
                return Ok(Written::Refused);
            }
        };
        let (key, by) = (self.key(&address), lease_of(when));
        if by.is_some() || !self.is(Sabotage::ForgetsLeaseOnSet) {
            self.end_lease(&address);
        }
        let version = self.next_version(&key);
        let entry = entry.into_entry(now, version, sequence);
        self.entries.insert(key, Kept { entry, filled_by: by });
        self.publish(Invalidation::Address(address));
        Ok(Written::Stored(version))
    }

    fn judge(&self, address: &Address, when: When, now: Tick) -> Verdict {
        let live = self.live(address, now).map(|kept| kept.entry.meta.version);
        let holds = match when {
            When::Always => true,
            When::IfAbsent => live.is_none(),
            When::IfPresent => live.is_some(),
            When::IfVersion(version) => live == Some(version),
            When::IfLease(id) => return self.judge_fill(address, id, now),
        };
        if holds || self.is(Sabotage::IgnoresConditions) { Verdict::Store(self.sequence) } else { Verdict::Refuse }
    }

    fn judge_fill(&self, address: &Address, id: LeaseId, now: Tick) -> Verdict {
        if let Some(held) = self.standing(address, now).filter(|held| held.lease.id == id) {
            let captured = !self.is(Sabotage::ForgetsCapturedSequence);
            return Verdict::Store(if captured { held.lease.sequence } else { self.sequence });
        }
        if self.is(Sabotage::AcceptsLateFills) {
            return Verdict::Store(self.sequence);
        }
        let filled = self
            .visible(address)
            .filter(|kept| kept.filled_by == Some(id) && self.freshness(&kept.entry, now, None) != Freshness::Expired);
        match filled {
            Some(kept) if !self.is(Sabotage::RefusesRepeatedFills) => Verdict::Repeated(kept.entry.meta.version),
            _ => Verdict::Refuse,
        }
    }

    pub(super) fn remove(&mut self, address: &Address, now: Tick) -> bool {
        let live = self.live(address, now).is_some();
        self.entries.remove(&self.key(address));
        if !self.is(Sabotage::ForgetsLeaseOnRemove) {
            self.end_lease(address);
        }
        // Also when nothing was here: a copy may have outlived it.
        self.publish(Invalidation::Address(address.clone()));
        live
    }

    pub(super) fn touch(&mut self, item: &TouchItem, now: Tick) -> bool {
        let address = &item.address;
        match item.kind {
            TouchKind::Renew(id) => self.renew(address, id, now),
            TouchKind::Release(id) => {
                let stands = self.standing(address, now).is_some_and(|held| held.lease.id == id);
                if stands {
                    self.end_lease(address);
                }
                stands
            }
            TouchKind::Probe | TouchKind::Slide | TouchKind::Live(_) => self.touch_entry(address, item.kind, now),
        }
    }

    fn touch_entry(&mut self, address: &Address, kind: TouchKind, now: Tick) -> bool {
        let live = self.live(address, now).is_some();
        match kind {
            TouchKind::Slide => self.slide(address, now),
            TouchKind::Probe if self.is(Sabotage::SlidesOnProbe) => self.slide(address, now),
            TouchKind::Live(lifetime) if live => {
                let key = self.key(address);
                if let Some(kept) = self.entries.get_mut(&key) {
                    prolong(&mut kept.entry.meta, lifetime, now);
                }
                self.publish(Invalidation::Address(address.clone()));
            }
            _ => {}
        }
        live
    }
}

fn lease_of(when: When) -> Option<LeaseId> {
    if let When::IfLease(id) = when { Some(id) } else { None }
}

fn prolong(meta: &mut Meta, lifetime: Lifetime, now: Tick) {
    meta.hard_until = lifetime.ttl().map_or(Tick::NEVER, |ttl| now.after(ttl));
    meta.fresh_until = lifetime.sliding().map_or(meta.hard_until, |window| now.after(window).min(meta.hard_until));
    meta.stale_for = lifetime.stale_for();
    meta.sliding = lifetime.sliding();
}
