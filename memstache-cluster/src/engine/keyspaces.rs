//! Keyspaces, while the engine runs.

use futures_util::future::join_all;
use memstache_core::{KeyspaceName, Result, Sequence};

use super::{Engine, EngineEvent, EngineService, KeySpaceChange};
use crate::{
    keyspace::KeySpace,
    reader::{WarmedUp, warm_keyspace},
    registry::KeySpaceStatus,
    stats::KeySpaceStats,
};

impl Engine {
    /// Returns a keyspace as the leaf of a stack, for the typed caches and layers of the core.
    ///
    /// Errors: [`EngineError::KeyspaceNotFound`](crate::EngineError::KeyspaceNotFound).
    ///
    /// ```
    /// use memstache_cluster::{Engine, KeySpace};
    /// use memstache_core::{Cache, Json, NearConfig, Stack};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> memstache_core::Result<()> {
    /// let engine = Engine::builder().keyspace(KeySpace::builder("users").build()?).build()?;
    /// engine.start().await?;
    /// let stack = Stack::over(engine.service("users")?).near(NearConfig::new(1 << 20)?).build();
    /// let users = Cache::builder(stack).keyspace("users").format(Json).build()?;
    ///
    /// let name: String = users.get_or_load("7", |_| async { Ok::<_, std::io::Error>("Ada".to_owned()) }).await?;
    /// assert_eq!((name.as_str(), users.get::<String>("7").await?.as_deref()), ("Ada", Some("Ada")));
    /// # Ok(()) }
    /// ```
    pub fn service(&self, keyspace: &str) -> Result<EngineService> {
        let slot = self.node.registry.slot(keyspace)?;
        slot.current()?;
        Ok(EngineService::new(self.node.clone(), slot))
    }

    /// Adds a keyspace, on all nodes of the cluster.
    ///
    /// It returns once every active member knows it, or was declared dead, or the write timeout passed: who was not reached
    /// hears of it within a minute. One without a source is served by all nodes from then on. A source is code, and code does
    /// not travel: a node that was not given one too, by its builder or by this method, does not serve the keyspace, says so
    /// by [`KeySpaceChange::Undefined`](crate::KeySpaceChange::Undefined), and keys that it owns are read from the callers' sources.
    ///
    /// Where nodes give different settings for one keyspace, those of the node that started last are used by all, among equals
    /// those of the greater id; it is told as [`KeySpaceChange::Conflict`](crate::KeySpaceChange::Conflict), counted in
    /// [`KeySpaceStats::conflicts`] and seen in [`keyspaces`](Self::keyspaces) until the settings are the same or an update settles it.
    ///
    /// Errors: [`EngineError::KeyspaceExists`](crate::EngineError::KeyspaceExists) if this node serves one of the name,
    /// [`EngineError::TooManyKeyspaces`](crate::EngineError::TooManyKeyspaces) beyond 1,024.
    ///
    /// # Cancellation
    /// It is created, and told to the others nonetheless; so it is with changes and deletions.
    pub async fn create_keyspace(&self, keyspace: KeySpace) -> Result<()> {
        let name = keyspace.name().clone();
        let change = self.node.registry.create(keyspace)?;
        self.changed(name, change).await;
        Ok(())
    }

    /// Puts new settings in the place of those of a keyspace, while it is used: no request is lost, and those under way end
    /// under the old ones.
    ///
    /// All nodes take over the settings: bounds, lifetimes, timeouts, policy, format, limiter and breaker. What is code or a list
    /// of keys is changed on this node alone: the source, the closures for expiry and layers, and the warm keys; update
    /// those on each node.
    ///
    /// What is held is kept, unless its bound, its policy, its layers or its format are others, or it gets or loses its
    /// source. The breaker and the limiter begin anew. Its warm and hot keys are loaded ahead, as on a change of the members.
    ///
    /// Errors: [`EngineError::KeyspaceNotFound`](crate::EngineError::KeyspaceNotFound).
    pub async fn update_keyspace(&self, keyspace: KeySpace) -> Result<()> {
        let name = keyspace.name().clone();
        self.node.registry.update(keyspace)?;
        self.changed(name, KeySpaceChange::Updated).await;
        Ok(())
    }

    /// Loads ahead the warm and hot keys of all keyspaces with a source that this node owns, and returns how that ended. By the
    /// engine's [`WarmUp`], or the default one if it has none.
    ///
    /// Errors: those of [`EngineError`](crate::EngineError), for an engine that does not run.
    ///
    /// # Cancellation
    /// Loads that were begun go on.
    ///
    /// ```
    /// use memstache_cluster::{Engine, KeySpace, Sourced, source_fn};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> memstache_core::Result<()> {
    /// let source = source_fn(|_| async { Ok(Some(Sourced::new("a row"))) });
    /// let products = KeySpace::builder("products").source(source).warm_keys(["7", "8"]).build()?;
    /// let engine = Engine::builder().keyspace(products).without_warm_up().build()?;
    /// engine.start().await?;
    /// let warmed = engine.warm_up().await?;
    /// assert_eq!((warmed.keys, warmed.failed), (2, 0));
    /// assert_eq!(engine.stats("products")?.main_entries, 2);
    /// # Ok(()) }
    /// ```
    pub async fn warm_up(&self) -> Result<WarmedUp> {
        self.node.ready()?;
        let config = self.node.warm_up.unwrap_or_default();
        let mut all = WarmedUp::default();
        for local in self.node.registry.all() {
            let warmed = warm_keyspace(&self.node, &local, config, None).await;
            (all.keys, all.failed) = (all.keys + warmed.keys, all.failed + warmed.failed);
        }
        Ok(all)
    }

    /// Deletes a keyspace with all that it holds, on all nodes.
    ///
    /// The nodes remember 1,024 deleted keyspaces: beyond that, a node that was cut off since before may bring one back.
    ///
    /// Errors: [`EngineError::KeyspaceNotFound`](crate::EngineError::KeyspaceNotFound).
    pub async fn delete_keyspace(&self, keyspace: &str) -> Result<()> {
        let name = self.node.registry.delete(keyspace)?;
        self.changed(name, KeySpaceChange::Deleted).await;
        Ok(())
    }

    /// Deletes keyspaces, all at once; each has a result of its own, in the order given.
    pub async fn delete_keyspaces<'a>(&self, keyspaces: impl IntoIterator<Item = &'a str>) -> Vec<Result<()>> {
        join_all(keyspaces.into_iter().map(|keyspace| self.delete_keyspace(keyspace))).await
    }

    /// Hides everything of a keyspace, of all tenants, on all nodes; O(1) whatever is held. A load that began before is not
    /// seen afterwards. Returns the number under which it stands among the keyspace's invalidations.
    ///
    /// [`clear`](Self::clear) hides the keys of this handle's tenant alone.
    ///
    /// Errors: [`Unknown`](memstache_core::ErrorKind::Unknown) if not every member confirmed within the write timeout; those that
    /// did not may answer what was there until they hear of it, within a minute. Those of [`EngineError`](crate::EngineError).
    pub async fn flush(&self, keyspace: &str) -> Result<Sequence> {
        let slot = self.node.registry.slot(keyspace)?;
        let at = self.node.flush(&slot).await?;
        let event = EngineEvent::KeySpace { keyspace: slot.name.clone(), change: KeySpaceChange::Flushed };
        self.node.events.tell(&event);
        Ok(at)
    }

    /// Returns the keyspaces that the cluster has, by name, and what this node makes of them.
    pub fn keyspaces(&self) -> Vec<KeySpaceStatus> {
        let node = &self.node;
        let view = node.cluster().map(|cluster| (cluster.me, cluster.view()));
        let is_member = |id| view.as_ref().is_none_or(|(me, view)| id == *me || view.members.contains(id));
        node.registry.statuses(is_member)
    }

    /// Returns what this node has counted of a keyspace, and what it holds of it.
    ///
    /// Errors: [`EngineError::KeyspaceNotFound`](crate::EngineError::KeyspaceNotFound).
    pub fn stats(&self, keyspace: &str) -> Result<KeySpaceStats> {
        let registry = &self.node.registry;
        let stats = registry.slot(keyspace)?.current()?.stats();
        Ok(KeySpaceStats { conflicts: registry.conflicts(keyspace), ..stats })
    }

    /// Goes on with a change of a keyspace, and tells the others.
    async fn changed(&self, name: KeyspaceName, change: KeySpaceChange) {
        self.node.tell_of_keyspaces(vec![(name.clone(), change)]);
        self.node.spread_keyspace(name.as_str()).await;
    }
}
