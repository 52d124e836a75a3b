//! Which keys are read most.

use memstache_core::Result;

use super::Engine;
use crate::{keyspace::Key, owner::HotRead};

/// A key that is read often, as its owner sees it.
///
/// `Debug` shows no name.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct HotKey {
    /// Tenant, keyspace and name.
    pub key: Key,
    /// Its reads of late: one counts half after three seconds, a quarter after six. Never above what there were.
    pub hits: f64,
    /// Reads a second, by the same count.
    pub per_second: f64,
    /// How many other nodes may have a copy now.
    pub copies: usize,
}

impl Engine {
    /// Returns the keys of a keyspace that this node owns and that are read most, the first first: at most so many, and at most
    /// 1,024.
    ///
    /// Reads of all nodes count, whatever their tenant. Of more than 8,192 reads a second a part is looked at and stands for all. The
    /// count is that of Space-Saving (Metwally, Agrawal, El Abbadi 2005) with decay, in bounded room: a key that makes up more than one in 1,024
    /// of the reads is not missed, and a hot set that moves is followed within seconds.
    ///
    /// Errors: [`EngineError::KeyspaceNotFound`](crate::EngineError::KeyspaceNotFound).
    ///
    /// ```
    /// use memstache_cluster::{Engine, KeySpace};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> memstache_core::Result<()> {
    /// let engine = Engine::builder().keyspace(KeySpace::builder("users").build()?).build()?;
    /// engine.start().await?;
    /// for key in ["7", "7", "8"] {
    ///     engine.get("users", key).await?;
    /// }
    /// let hot = engine.hot_keys("users", 1)?;
    /// assert_eq!((hot[0].key.text(), hot[0].hits.round()), (Some("7"), 2.0));
    /// # Ok(()) }
    /// ```
    pub fn hot_keys(&self, keyspace: &str, most: usize) -> Result<Vec<HotKey>> {
        let local = self.node.registry.slot(keyspace)?.current()?;
        let view = self.node.cluster().map(|cluster| cluster.view());
        // What was read here while it was this node's is not its any more after a change of the members.
        let owned = |read: &HotRead| view.as_ref().is_none_or(|view| view.owns(read.address.stored()));
        let hot = |read: HotRead| HotKey {
            hits: read.hits,
            per_second: read.per_second,
            copies: local.hot.copies(&read.address),
            key: Key::new(read.address),
        };
        let top = local.hot.reads.top(crate::owner::MOST_HOT_KEYS);
        Ok(top.into_iter().filter(owned).take(most).map(hot).collect())
    }
}
