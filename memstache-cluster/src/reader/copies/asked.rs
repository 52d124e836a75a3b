//! What a part of a read was like when its owner was asked, so that what it says is hot can be kept.

use memstache_core::{Address, Lookup, Request, Result, Sequence, Tick};

use super::Ticket;
use crate::{member::NodeId, owner::Local, wire::Hot};

/// The keys of a read that is asked of their owner.
pub(in crate::reader) struct Asked {
    keys: Vec<(Address, Ticket)>,
    owner: NodeId,
    /// The number of the last invalidation that this node knew of.
    sequence: Sequence,
    /// Reads that the owner has not heard of: those of copies that have ended.
    pub(in crate::reader) unheard: Vec<(Address, u32)>,
}

impl Asked {
    /// Takes tickets for what is read, if copies may be kept of it.
    pub(in crate::reader) fn of(local: &Local, request: &Request, owner: NodeId, view: u64, now: Tick) -> Option<Self> {
        let Request::Get(op) = request else { return None };
        local.hot_copies?;
        let mut unheard = Vec::new();
        let mut keys = Vec::with_capacity(op.items.len());
        for item in op.items.iter() {
            let (ticket, reads) = local.copies.ticket(&item.address, view, now);
            keys.push((item.address.clone(), ticket));
            if reads > 0 {
                unheard.push((item.address.clone(), reads));
            }
        }
        // After the tickets: what is hidden from here on drops what is being asked for.
        Some(Self { keys, owner, sequence: local.store.sequence(), unheard })
    }

    /// Keeps what the owner says is hot.
    pub(in crate::reader) fn keep(&self, local: &Local, found: &[Result<Lookup>], hot: &[Hot], now: Tick) {
        // What was hidden here and not yet at the owner would never be hidden here again.
        for Hot { item, promise } in hot.iter().filter(|hot| hot.promise.sequence >= self.sequence) {
            let place = *item as usize;
            if let (Some((address, ticket)), Some(Ok(lookup))) = (self.keys.get(place), found.get(place)) {
                local.copies.keep(address, lookup, promise.lease, self.owner, *ticket, now);
            }
        }
    }
}
