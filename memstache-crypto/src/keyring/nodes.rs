//! Which nodes hold keys: each puts its name down before it has any, so that who destroys keys knows whom to wait for.

use std::{
    collections::HashSet,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use bytes::{BufMut, Bytes};
use memstache_core::{Expected, RecordKey, RecordPrefix, Result, Tick};
use parking_lot::Mutex;

use super::{
    Inner, Keyring,
    places::hex,
    settings::{MAX_SKEW, millis},
};
use crate::random::Random;

const VERSION: u8 = 1;

/// This process among the nodes of an environment.
#[derive(Debug)]
pub(super) struct Node {
    name: String,
    registered: AtomicBool,
    /// When it last said that it is there.
    beaten: AtomicU64,
    /// The orders that it has followed, by the sequences of their records; of those that stand.
    pub(super) followed: Mutex<HashSet<u64>>,
}

impl Node {
    /// Gives a label a number of its own: two processes that are called alike must not answer for each other.
    ///
    /// Errors: those of the source of randomness.
    pub(super) fn new(label: &str, random: &dyn Random) -> Result<Self> {
        let mut number = [0; 8];
        random.fill(&mut number)?;
        Ok(Self {
            name: format!("{label}.{}", hex(&number)),
            registered: AtomicBool::new(false),
            beaten: AtomicU64::new(0),
            followed: Mutex::default(),
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

impl Keyring {
    /// Returns what this process is called in a [`Receipt`](memstache_core::Receipt): its label
    /// ([`with_node`](super::KeyringBuilder::with_node)) and a number of its own. `None` for the keyring of a tenant's
    /// vault, which belongs to another.
    pub fn node(&self) -> Option<&str> {
        self.0.node.as_ref().map(Node::name)
    }

    /// Lets go of all keys at hand and takes this process off the register of nodes, so that nobody waits for its
    /// confirmations any more: for the end of a process. Drop the task of [`run`](Self::run) before; what asks for keys
    /// afterwards begins anew.
    ///
    /// A process that ends without it is told as unconfirmed for as long as it could have used its keys
    /// ([`with_max_stale`](super::KeyringBuilder::with_max_stale)).
    ///
    /// Errors: those of the record store; the keys are gone even so.
    pub async fn leave(&self) -> Result<()> {
        let inner = &*self.0;
        if let Some(vaults) = &inner.vaults {
            vaults.own().for_each(|keyring| keyring.0.drop_keys());
            vaults.forget(|_| true);
        }
        inner.drop_keys();
        let Some(node) = &inner.node else { return Ok(()) };
        node.registered.store(false, Ordering::Release);
        let place = inner.settings.environment.node_key(&node.name);
        inner.records.remove(&place, Expected::Any).await.map(drop)
    }
}

impl Inner {
    /// Puts this process down as one that holds keys, before it does.
    pub(super) async fn register(&self) -> Result<()> {
        let Some(node) = self.node.as_ref().filter(|node| !node.registered.load(Ordering::Acquire)) else {
            return Ok(());
        };
        self.beat(node).await?;
        // Of what was ordered before, it holds nothing; who waits is told so.
        self.follow_orders().await?;
        self.forget_dead_nodes().await?;
        node.registered.store(true, Ordering::Release);
        Ok(())
    }

    /// Says again that it is there, and does what was ordered and not heard of.
    pub(super) async fn stay_registered(&self) -> Result<()> {
        let Some(node) = self.node.as_ref().filter(|node| node.registered.load(Ordering::Acquire)) else {
            return Ok(());
        };
        let last = Tick::from_millis(node.beaten.load(Ordering::Relaxed));
        let beaten = if self.clock.now().since(last) >= self.settings.refresh { self.beat(node).await } else { Ok(()) };
        self.follow_orders().await.and(beaten)
    }

    async fn beat(&self, node: &Node) -> Result<()> {
        let now = self.clock.now();
        let place = self.settings.environment.node_key(&node.name);
        self.records.put(&place, stamp(self.wall()), Expected::Any).await?;
        node.beaten.store(now.as_millis(), Ordering::Relaxed);
        Ok(())
    }

    /// The names of all other nodes that may hold keys which can be used.
    pub(super) async fn other_nodes(&self) -> Result<Vec<String>> {
        let own = self.node.as_ref().map(Node::name);
        let nodes = self.nodes().await?.into_iter().filter(|(_, _, alive)| *alive);
        Ok(nodes.map(|(_, name, _)| name).filter(|name| Some(name.as_str()) != own).collect())
    }

    async fn forget_dead_nodes(&self) -> Result<()> {
        for (place, _, _) in self.nodes().await?.into_iter().filter(|(_, _, alive)| !alive) {
            self.records.remove(&place, Expected::Any).await?;
        }
        Ok(())
    }

    async fn nodes(&self) -> Result<Vec<(RecordKey, String, bool)>> {
        let prefix = self.settings.environment.nodes_prefix();
        let all = self.records.list(&prefix).await?.into_iter();
        Ok(all
            .filter_map(|(key, record)| {
                let name = last_segment(&prefix, &key)?.to_owned();
                let alive = read_stamp(&record.value).is_none_or(|at| self.may_still_count(at));
                Some((key, name, alive))
            })
            .collect())
    }

    /// Whether a node could use today what it held at a time.
    pub(super) fn may_still_count(&self, at: u64) -> bool {
        let most = millis(self.settings.usable().saturating_add(MAX_SKEW).saturating_add(Duration::from_secs(1)));
        self.wall() <= at.saturating_add(most)
    }
}

/// The last segment of a key right below a prefix.
pub(super) fn last_segment<'a>(prefix: &RecordPrefix, key: &'a RecordKey) -> Option<&'a str> {
    let below = key.as_str().strip_prefix(prefix.key()?.as_str())?.strip_prefix('/')?;
    (!below.contains('/')).then_some(below)
}

/// A moment as records hold it: version (1 byte), milliseconds since 1970 (8 bytes, big-endian).
pub(super) fn stamp(at: u64) -> Bytes {
    let mut out = Vec::with_capacity(9);
    out.put_u8(VERSION);
    out.put_u64(at);
    out.into()
}

/// Reads a moment; `None` for what is none: it may be anything.
pub(super) fn read_stamp(bytes: &[u8]) -> Option<u64> {
    let (version, rest) = bytes.split_first()?;
    let at = rest.first_chunk().filter(|_| *version == VERSION)?;
    Some(u64::from_be_bytes(*at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_as_they_were_written_and_anything_else_is_none() {
        assert_eq!(&stamp(0x0102)[..], [1, 0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(read_stamp(&stamp(u64::MAX)), Some(u64::MAX));
        assert_eq!(read_stamp(&[2, 0, 0, 0, 0, 0, 0, 1, 2]), None);
        assert!((0..9).all(|len| read_stamp(&stamp(7)[..len]).is_none()));
    }

    #[test]
    fn only_what_is_right_below_is_a_node() {
        let key = |text| RecordKey::new(text).unwrap();
        let prefix = RecordPrefix::from(key("a/nodes"));
        assert_eq!(last_segment(&prefix, &key("a/nodes/one")), Some("one"));
        for other in ["a/nodes", "a/nodes/one/more", "a/nodes2/one"] {
            assert_eq!(last_segment(&prefix, &key(other)), None);
        }
    }
}
