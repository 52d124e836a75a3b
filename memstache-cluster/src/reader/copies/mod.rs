//! Copies of hot keys that others own, under leases.
//!
//! A copy is taken of an answer that the owner gave a lease with, and is as good as the owner's entry until the lease ends: before the
//! owner acknowledges a change, it has the copy dropped. The lease is counted from before the owner was asked, by this node's
//! own clock. What may have changed between asking and the answer is not kept: each drop is counted, and an answer whose
//! question is older than the last drop is only passed on. A copy is good under the view it was taken in.

mod answer;
mod asked;

use std::{
    collections::HashMap,
    fmt,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use memstache_core::{Address, Lookup, Meta, Target, Tick};
use parking_lot::Mutex;

pub(super) use self::{answer::answer, asked::Asked};
use crate::{
    member::{Incarnation, NodeId},
    placement::partition_of,
};

const LANES: usize = 64;
/// What a copy takes beside its key and value, about.
const OVERHEAD: usize = 200;
/// The part of all bytes that one copy may take.
const LARGEST_SHARE: usize = 8;
/// How often a full store looks for copies that have ended.
const SWEEP: Duration = Duration::from_millis(100);
/// The longest lease that is believed.
const LONGEST: Duration = Duration::from_secs(1);

/// The copies of one keyspace; bounded in bytes: what does not fit is not kept.
pub(crate) struct Copies {
    lanes: Box<[Mutex<Lane>]>,
    entries: AtomicUsize,
    bytes: AtomicUsize,
    max_bytes: usize,
    /// When it was last looked for copies that have ended, in milliseconds.
    swept: AtomicU64,
    /// Of each owner: in which life it was, and how many calls to drop copies it has sent.
    numbers: Mutex<HashMap<NodeId, (Incarnation, u64)>>,
}

#[derive(Default)]
struct Lane {
    copies: HashMap<Address, Copy>,
    /// How often something was dropped.
    drops: u64,
}

struct Copy {
    lookup: Lookup,
    until: Tick,
    /// Whose it is.
    from: NodeId,
    view: u64,
    /// How often it was read.
    reads: u32,
    bytes: usize,
}

/// How things stood when an owner was asked.
#[derive(Clone, Copy, Debug)]
struct Ticket {
    drops: u64,
    at: Tick,
    view: u64,
}

impl Copies {
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self {
            lanes: (0..LANES).map(|_| Mutex::default()).collect(),
            entries: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            max_bytes,
            swept: AtomicU64::new(0),
            numbers: Mutex::default(),
        }
    }

    fn is_empty(&self) -> bool {
        self.entries.load(Relaxed) == 0
    }

    fn lane(&self, address: &Address) -> &Mutex<Lane> {
        &self.lanes[partition_of(address.stored()).index() % LANES]
    }

    /// Returns a copy that is good under a view.
    fn find(&self, address: &Address, view: u64, now: Tick) -> Option<Lookup> {
        let mut lane = self.lane(address).lock();
        let copy = lane.copies.get_mut(address).filter(|copy| copy.view == view && copy.is_good(now))?;
        copy.reads = copy.reads.saturating_add(1);
        Some(copy.lookup.clone())
    }

    /// Takes a ticket before a key is asked for, and returns how often the copy was read that has ended, if there was one.
    fn ticket(&self, address: &Address, view: u64, now: Tick) -> (Ticket, u32) {
        let mut lane = self.lane(address).lock();
        let ended = lane.copies.get(address).is_some_and(|copy| !copy.is_good(now));
        let reads = if ended { self.take(&mut lane, address).map_or(0, |copy| copy.reads) } else { 0 };
        (Ticket { drops: lane.drops, at: now, view }, reads)
    }

    /// Keeps an answer; returns whether it did.
    fn keep(
        &self,
        address: &Address,
        lookup: &Lookup,
        lease: Duration,
        from: NodeId,
        ticket: Ticket,
        now: Tick,
    ) -> bool {
        let value = match lookup {
            Lookup::Hit(entry) => entry.value.len(),
            Lookup::Negative(_) => 0,
            _ => return false,
        };
        let until = ticket.at.after(lease.min(LONGEST));
        let bytes = value + address.stored().len() + OVERHEAD;
        if until <= now || bytes > self.max_bytes / LARGEST_SHARE {
            return false;
        }
        if self.bytes.load(Relaxed) + bytes > self.max_bytes {
            self.sweep(now);
        }
        let mut lane = self.lane(address).lock();
        if lane.drops != ticket.drops || self.bytes.load(Relaxed) + bytes > self.max_bytes {
            return false;
        }
        self.take(&mut lane, address);
        self.bytes.fetch_add(bytes, Relaxed);
        self.entries.fetch_add(1, Relaxed);
        let copy = Copy { lookup: lookup.clone(), until, from, view: ticket.view, reads: 0, bytes };
        lane.copies.insert(address.clone(), copy);
        true
    }

    /// Drops what an owner says is changing; where one of its calls before was missed, all that is its own.
    pub(crate) fn recall<'a>(
        &self,
        owner: NodeId,
        life: Incarnation,
        number: u64,
        changing: impl IntoIterator<Item = &'a Address>,
    ) {
        if self.is_gap(owner, life, number) {
            self.drop_from(owner);
        }
        for address in changing {
            let mut lane = self.lane(address).lock();
            lane.drops += 1;
            drop(self.take(&mut lane, address));
        }
    }

    fn is_gap(&self, owner: NodeId, life: Incarnation, number: u64) -> bool {
        let mut numbers = self.numbers.lock();
        let before = numbers.get(&owner).copied();
        // One that comes late was missed when the next one came.
        let next = before.filter(|(of, _)| *of == life).map_or(number, |(_, before)| before.max(number));
        numbers.insert(owner, (life, next));
        before.is_none_or(|(of, before)| of != life || number > before + 1)
    }

    /// Drops all copies that an owner gave.
    pub(crate) fn drop_from(&self, owner: NodeId) {
        self.drop_all(|_, copy| copy.from == owner);
    }

    /// Drops all that targets may hide.
    pub(crate) fn hide<'a>(&self, targets: &(impl IntoIterator<Item = &'a Target> + Clone)) {
        self.drop_all(|address, copy| targets.clone().into_iter().any(|target| covers(target, address, copy)));
    }

    /// Drops all copies.
    pub(crate) fn clear(&self) {
        self.drop_all(|_, _| true);
    }

    /// Drops some copies, and whatever is being asked for.
    fn drop_all(&self, goes: impl Fn(&Address, &Copy) -> bool) {
        for lane in &self.lanes {
            let mut lane = lane.lock();
            lane.drops += 1;
            self.take_all(&mut lane, &goes);
        }
    }

    /// Lets go of what has ended.
    fn sweep(&self, now: Tick) {
        let last = Tick::from_millis(self.swept.load(Relaxed));
        if now.since(last) >= SWEEP {
            self.swept.store(now.as_millis(), Relaxed);
            self.lanes.iter().for_each(|lane| self.take_all(&mut lane.lock(), &|_, copy| !copy.is_good(now)));
        }
    }

    fn take_all(&self, lane: &mut Lane, goes: &impl Fn(&Address, &Copy) -> bool) {
        lane.copies.retain(|address, copy| {
            let stays = !goes(address, copy);
            if !stays {
                self.gone(copy);
            }
            stays
        });
    }

    fn take(&self, lane: &mut Lane, address: &Address) -> Option<Copy> {
        lane.copies.remove(address).inspect(|copy| self.gone(copy))
    }

    fn gone(&self, copy: &Copy) {
        self.bytes.fetch_sub(copy.bytes, Relaxed);
        self.entries.fetch_sub(1, Relaxed);
    }

    /// Returns how many copies there are, and how many bytes they take; what has ended is let go of.
    pub(crate) fn held(&self, now: Tick) -> (usize, usize) {
        self.sweep(now);
        (self.entries.load(Relaxed), self.bytes.load(Relaxed))
    }
}

impl Copy {
    fn is_good(&self, now: Tick) -> bool {
        now < self.until && self.meta().is_some_and(|meta| now < meta.fresh_until)
    }

    fn meta(&self) -> Option<&Meta> {
        match &self.lookup {
            Lookup::Hit(entry) => Some(&entry.meta),
            Lookup::Negative(meta) => Some(meta),
            _ => None,
        }
    }
}

fn covers(target: &Target, address: &Address, copy: &Copy) -> bool {
    match target {
        Target::Tag(space, tag) => {
            space.key() == address.space_key() && copy.meta().is_none_or(|meta| meta.tags.iter().any(|of| of == tag))
        }
        Target::Space(space) => space.key() == address.space_key(),
        Target::Tenant(tenant) => address.tenant() == Some(tenant.as_str()),
        // What is hidden by a new kind of target is not known.
        _ => true,
    }
}

impl fmt::Debug for Copies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (entries, bytes) = (self.entries.load(Relaxed), self.bytes.load(Relaxed));
        f.debug_struct("Copies").field("entries", &entries).field("bytes", &bytes).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
