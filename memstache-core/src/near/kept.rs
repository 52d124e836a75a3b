//! Asking for what is kept decoded, and keeping it.

use std::sync::{
    Arc,
    atomic::Ordering::{Relaxed, SeqCst},
};

use super::{
    copies::{Copies, Copy},
    decoded::{Decoded, Value},
    shard::Shard,
};
use crate::{
    address::Parts,
    clock::Tick,
    entry::{Entry, Meta},
    memory::{Hashed, Key},
    request::Scope,
    service::DecodedAs,
};

/// What a look at the decoded values brought.
pub(crate) enum Looked<V> {
    /// The value, or that there is none.
    Sure(Option<V>),
    /// Only the copy can tell.
    Unsure,
}

impl Copies {
    /// Returns what `take` makes of what is kept decoded, if a fresh value is all that is asked for.
    ///
    /// In place, down to the value's type: what a hit does is little, and each call on its way would cost as much.
    #[inline(always)]
    pub(super) fn decoded<V>(
        &self,
        key: &impl Key,
        now: Tick,
        wanted: DecodedAs,
        take: impl FnOnce(&Value) -> Option<V>,
    ) -> Looked<V> {
        let hash = Hashed::new(&self.hasher, key);
        let shard = self.shard(hash).read();
        let Some(decoded) = shard.decoded(hash, key) else { return Looked::Sure(None) };
        if !decoded.is_sure(self.noted.load(SeqCst), now) {
            return Looked::Unsure;
        }
        let Some(value) = decoded.value(wanted) else { return Looked::Sure(None) };
        // Before it is taken: that waits for the value's count, and what comes after it waits, too.
        shard.record_access(decoded.copy, hash);
        Looked::Sure(take(value))
    }

    /// Returns what is kept decoded, if its copy would answer; `told` is told of that.
    pub(super) fn decoded_by_copy(
        &self,
        key: &impl Key,
        scope: &Scope,
        now: Tick,
        wanted: DecodedAs,
        told: Option<&mut Option<Meta>>,
    ) -> Option<Value> {
        self.fresh(key, scope, now, |shard, copy| {
            let decoded = shard.decoded(Hashed::new(&self.hasher, key), key)?;
            decoded.raise(copy.extra().checked.load(Relaxed));
            let value = decoded.value(wanted).filter(|value| (***value).type_id() == wanted.type_id)?;
            if let Some(told) = told {
                *told = Some(copy.meta_held());
            }
            Some(Arc::clone(value))
        })
    }

    /// Keeps what was decoded from a copy, if it is still that copy and has none.
    pub(super) fn keep_decoded(&self, key: &Parts<'_>, entry: &Entry, value: Value, weight: usize) {
        if weight > self.largest {
            return;
        }
        let hash = Hashed::new(&self.hasher, key);
        let takes = |slot: Copy<'_>| slot.extra().decoded == 0 && slot.is_of(entry);
        let place = |table: &Shard| table.find(hash, key).filter(|id| table.get(*id).is_some_and(takes));
        // Whoever comes after the first asks in vain: that holds up no reader.
        if place(&self.shard(hash).read()).is_none() {
            return;
        }
        let (mut dropped, charge) = (Vec::new(), weight + Decoded::bytes(key.name()));
        let mut table = self.shard(hash).write();
        let mut held = place(&table);
        self.make_room(&mut table, &mut held, |_, held| held.map_or(0, |_| charge), &mut dropped);
        if let Some(id) = held {
            table.keep(id, key.space(), value, weight);
        }
        drop(table);
    }
}
