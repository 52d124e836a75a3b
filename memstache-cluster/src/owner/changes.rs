//! What changes in the entries of a node, numbered, for the near caches of others.
//!
//! A reader asks for all after the last change that it knows, and is answered when there are some, or after a while that there are none.
//! So it asks again what was lost on the way, and knows what it missed: a log that was begun anew has another name.

use std::{
    collections::VecDeque,
    sync::{Arc, Weak},
};

use futures_util::StreamExt as _;
use memstache_core::{Address, AnyPolicy, Coherence as _, Invalidation, InvalidationStream, MemoryStore};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::Local;
use crate::engine::Node;

/// The last changes of one keyspace; none are kept until somebody asks.
#[derive(Debug)]
pub(crate) struct Changes {
    log: Mutex<Option<Log>>,
    /// Told after every change.
    changed: watch::Sender<()>,
    capacity: usize,
}

#[derive(Debug)]
struct Log {
    name: u64,
    /// The number of the last change.
    end: u64,
    last: VecDeque<Address>,
}

/// The changes after one of a log.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Told {
    /// Which log.
    pub(crate) log: u64,
    /// The number of the change before the first.
    pub(crate) after: u64,
    pub(crate) items: Vec<Address>,
}

impl Changes {
    pub(super) fn new(capacity: usize) -> Self {
        Self { log: Mutex::default(), changed: watch::Sender::new(()), capacity }
    }

    /// Returns how many changes are kept.
    pub(crate) const fn capacity(&self) -> usize {
        self.capacity
    }

    /// Begins to keep changes; returns where they come from, unless it has begun.
    fn begin(&self, store: &MemoryStore<AnyPolicy>) -> Option<InvalidationStream> {
        let mut log = self.log.lock();
        if log.is_some() {
            return None;
        }
        // Before anybody is told where the log ends.
        let stream = store.subscribe();
        *log = Some(Log::new());
        Some(stream)
    }

    fn push(&self, change: Invalidation) {
        let mut kept = self.log.lock();
        // Nobody has asked yet.
        let Some(log) = &mut *kept else { return };
        match change {
            Invalidation::Address(address) => {
                log.end += 1;
                log.last.push_back(address);
                if log.last.len() > self.capacity {
                    log.last.pop_front();
                }
            }
            // Every node is told of those by their home, and says so itself.
            Invalidation::Tag(..) | Invalidation::Space(..) | Invalidation::Tenant(..) => return,
            _ => *log = Log::new(),
        }
        drop(kept);
        self.changed.send_replace(());
    }

    /// Has whoever follows know that more changed than it will be told of.
    pub(crate) fn begin_anew(&self) {
        self.push(Invalidation::Gap);
    }

    /// Returns what came after a change, or where the log ends if that is not known any more.
    pub(super) fn since(&self, name: u64, after: u64) -> Told {
        let log = self.log.lock();
        let Some(log) = &*log else { return Told { log: 0, after: 0, items: Vec::new() } };
        let missing = log.end.saturating_sub(after);
        let known = log.name == name && after <= log.end && missing <= log.last.len() as u64;
        if !known {
            return Told { log: log.name, after: log.end, items: Vec::new() };
        }
        let skip = log.last.len() - missing as usize;
        Told { log: log.name, after, items: log.last.iter().skip(skip).cloned().collect() }
    }

    /// Waits until there is something after a change of a log.
    pub(super) async fn newer(&self, name: u64, after: u64) {
        let mut changed = self.changed.subscribe();
        let is_newer = || self.log.lock().as_ref().is_none_or(|log| log.name != name || log.end != after);
        while !is_newer() && changed.changed().await.is_ok() {}
    }
}

impl Log {
    fn new() -> Self {
        Self { name: fastrand::u64(1..), end: 0, last: VecDeque::new() }
    }
}

impl Local {
    /// Begins to keep what changes, if nobody has asked before.
    pub(super) fn keep_changes(self: &Arc<Self>, node: &Node) {
        if let Some(stream) = self.changes.begin(&self.store) {
            node.spawn(keep(Arc::downgrade(self), stream));
        }
    }
}

async fn keep(local: Weak<Local>, mut stream: InvalidationStream) {
    while let Some(change) = stream.next().await {
        let Some(local) = local.upgrade() else { return };
        local.changes.push(change);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use memstache_core::{KeyspaceName, Sequence, Space};

    use super::*;

    fn change(n: u64) -> Invalidation {
        Invalidation::Address(address(n))
    }

    fn address(n: u64) -> Address {
        Address::plain(&Space::new(None, &KeyspaceName::new("k").unwrap()), n.to_string()).unwrap()
    }

    #[test]
    fn whoever_asks_misses_nothing_or_knows_it() {
        let changes = Changes::new(4);
        assert_eq!(changes.since(1, 1), Told { log: 0, after: 0, items: Vec::new() }, "nobody asked yet");
        let store = MemoryStore::builder().policy_kind(memstache_core::PolicyKind::Lru).build().unwrap();
        assert!(changes.begin(&store).is_some() && changes.begin(&store).is_none());
        let name = changes.since(0, 0).log;
        assert!(name > 0);
        assert!(changes.newer(name, 0).now_or_never().is_none());
        assert!(changes.newer(name + 1, 0).now_or_never().is_some(), "another log");
        (1..=3).for_each(|n| changes.push(change(n)));
        assert!(changes.newer(name, 0).now_or_never().is_some());
        assert_eq!(changes.since(name, 0).items, [1, 2, 3].map(address));
        assert_eq!(changes.since(name, 2), Told { log: name, after: 2, items: vec![address(3)] });
        (4..=6).for_each(|n| changes.push(change(n)));
        assert_eq!(changes.since(name, 2).items, [3, 4, 5, 6].map(address));
        assert_eq!(changes.since(name, 1), Told { log: name, after: 6, items: Vec::new() }, "two is gone");
        assert_eq!(changes.since(name, 7), Told { log: name, after: 6, items: Vec::new() }, "nobody said seven");
        changes.push(Invalidation::Space(address(1).space(), Sequence(1)));
        assert_eq!(changes.since(name, 6).items, []);
        changes.push(Invalidation::Gap);
        let told = changes.since(name, 6);
        assert!(told.log != name && told.after == 0 && told.items.is_empty(), "a new log");
    }
}
