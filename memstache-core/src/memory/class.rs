//! What many entries have in common, kept once.

#[cfg(feature = "near")]
use std::sync::OnceLock;
use std::{
    hash::BuildHasher,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::slot::same;
use crate::{
    address::Space,
    entry::{Content, Meta, Schema},
};

/// What a shared class takes: itself, its count, its space's text, the space of a handle which may be gone with another, and its
/// part of the table.
const CLASS: usize = size_of::<Class>() + 16 + TEXT + size_of::<Space>() + TEXT + 12;
/// What comes with the text of a space.
const TEXT: usize = 16;

/// The space and the kind of content of entries; a few thousand entries share one.
pub(crate) struct Class {
    pub(crate) space: Space,
    /// The same, as a handle holds it that asks for values: it is mostly told by where its key stands. Only in shared classes, and
    /// boxed, for the sake of the others: of those each entry has its own.
    #[cfg(feature = "near")]
    asked: OnceLock<Box<Space>>,
    /// With a `plain_len` of one if the plain lengths stand behind the values, else of zero.
    pub(crate) content: Content,
    /// What an entry says that a slot has no room for; such an entry has its class for itself.
    pub(crate) own: Option<Own>,
    /// Entries of a shared class that are in the shard, under whose lock it changes.
    ///
    /// Not the number of references: entries that were taken out live until the lock is free.
    members: AtomicU32,
}

/// The parts of an entry that most entries do not have.
pub(crate) struct Own {
    /// As it was given, but for its sequence, which the slot keeps.
    pub(crate) meta: Meta,
    /// The name, if it does not stand before the value.
    pub(crate) name: Option<Box<[u8]>>,
    /// The key by which it is known below, if that is not the plain one.
    pub(crate) stored: Option<Arc<[u8]>>,
}

impl Class {
    pub(crate) fn new(space: Space, content: Content, own: Option<Own>) -> Self {
        Self {
            space,
            #[cfg(feature = "near")]
            asked: OnceLock::new(),
            content,
            own,
            members: AtomicU32::new(0),
        }
    }

    /// Takes note of the space as a handle holds it; the first one is kept.
    #[cfg(feature = "near")]
    pub(crate) fn asked_by(&self, space: &Space) {
        if self.own.is_none() && *space == self.space {
            self.asked.get_or_init(|| Box::new(space.clone()));
        }
    }

    /// Returns the key of the space, where it stands for the handle that asked first.
    #[cfg(feature = "near")]
    #[inline(always)]
    pub(crate) fn asked_key(&self) -> &[u8] {
        self.asked.get().map_or(&self.space, |space| &**space).key()
    }

    /// Returns what a class of `space` takes.
    pub(crate) fn bytes(space_key: &[u8]) -> usize {
        CLASS + 2 * space_key.len()
    }

    /// Returns whether it is shared by the entries of a space and a kind of content.
    pub(crate) fn is(&self, space_key: &[u8], content: &Content) -> bool {
        same(self.space.key(), space_key) && self.content == *content
    }
}

/// The shared classes of one shard: each for as long as an entry is of it.
pub(crate) struct Classes {
    table: HashTable<Arc<Class>>,
    /// The one that came last, which most entries are of.
    last: Option<Arc<Class>>,
    hasher: RandomState,
    bytes: usize,
}

impl Classes {
    pub(crate) fn new() -> Self {
        Self { table: HashTable::new(), last: None, hasher: RandomState::default(), bytes: 0 }
    }

    /// Returns what all classes take.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the class if there is one.
    pub(crate) fn find(&self, space_key: &[u8], content: &Content) -> Option<&Arc<Class>> {
        let last = self.last.as_ref().filter(|class| class.is(space_key, content));
        last.or_else(|| self.table.find(self.hash(space_key, content), |class| class.is(space_key, content)))
    }

    /// Returns the class for another entry of it: the one that is here, or a new one.
    pub(crate) fn join(&mut self, space_key: &[u8], content: &Content, new: impl FnOnce() -> Arc<Class>) -> Arc<Class> {
        if let Some(held) = self.find(space_key, content) {
            held.members.store(held.members.load(Relaxed) + 1, Relaxed);
            return Arc::clone(held);
        }
        let class = new();
        class.members.store(1, Relaxed);
        self.bytes += Class::bytes(space_key);
        let (hash, hasher) = (self.hash(space_key, content), &self.hasher);
        self.table.insert_unique(hash, Arc::clone(&class), |class| hash_of(hasher, class.space.key(), &class.content));
        self.last = Some(Arc::clone(&class));
        class
    }

    /// Lets an entry go; forgets its class if it was the last.
    pub(crate) fn leave(&mut self, class: &Arc<Class>) {
        if class.own.is_some() {
            return;
        }
        let members = class.members.load(Relaxed) - 1;
        class.members.store(members, Relaxed);
        if members > 0 {
            return;
        }
        let hash = self.hash(class.space.key(), &class.content);
        if let Ok(found) = self.table.find_entry(hash, |held| Arc::ptr_eq(held, class)) {
            found.remove();
            self.last = None;
            self.bytes -= Class::bytes(class.space.key());
        }
    }

    fn hash(&self, space_key: &[u8], content: &Content) -> u64 {
        hash_of(&self.hasher, space_key, content)
    }
}

fn hash_of(hasher: &RandomState, space_key: &[u8], content: &Content) -> u64 {
    let flags = (content.format.0, content.encoding.0, content.sealed, content.negative);
    hasher.hash_one((space_key, flags, content.schema.map(|Schema(schema)| schema)))
}
