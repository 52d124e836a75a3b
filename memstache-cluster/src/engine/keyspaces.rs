//! Keyspaces, while the engine runs.

use std::sync::Arc;

use memstache_core::Result;

use super::{Engine, EngineService};
use crate::{
    keyspace::KeySpace,
    reader::{WarmedUp, warm_keyspace},
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

    /// Adds a keyspace.
    ///
    /// Errors: [`EngineError::KeyspaceExists`](crate::EngineError::KeyspaceExists), [`EngineError::TooManyKeyspaces`](crate::EngineError::TooManyKeyspaces) beyond 1,024.
    pub fn create_keyspace(&self, keyspace: KeySpace) -> Result<()> {
        self.node.registry.create(keyspace).map(drop)
    }

    /// Puts new settings in the place of those of a keyspace, while it is used: no request is lost, and those under way end
    /// under the old ones.
    ///
    /// What is held is kept, unless its bound, its policy, its layers or its format are others, or it gets or loses its
    /// source. The breaker and the limiter begin anew. Its warm and hot keys are loaded ahead, as on a change of the members.
    ///
    /// Errors: [`EngineError::KeyspaceNotFound`](crate::EngineError::KeyspaceNotFound).
    pub fn update_keyspace(&self, keyspace: KeySpace) -> Result<()> {
        let local = self.node.registry.update(keyspace)?;
        if let Some(config) = self.node.warm_up.filter(|_| self.node.ready().is_ok()) {
            let node = Arc::downgrade(&self.node);
            self.node.spawn(async move {
                if let Some(node) = node.upgrade() {
                    warm_keyspace(&node, &local, config, None).await;
                }
            });
        }
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

    /// Deletes a keyspace with all that it holds.
    ///
    /// Errors: [`EngineError::KeyspaceNotFound`](crate::EngineError::KeyspaceNotFound).
    pub fn delete_keyspace(&self, keyspace: &str) -> Result<()> {
        self.node.registry.delete(keyspace)
    }

    /// Deletes keyspaces; each has a result of its own, in the order given.
    pub fn delete_keyspaces<'a>(&self, keyspaces: impl IntoIterator<Item = &'a str>) -> Vec<Result<()>> {
        keyspaces.into_iter().map(|keyspace| self.delete_keyspace(keyspace)).collect()
    }

    /// Returns the keyspaces that there are, by name.
    pub fn keyspaces(&self) -> Vec<KeySpace> {
        self.node.registry.all().into_iter().map(|local| local.spec.clone()).collect()
    }

    /// Returns what this node has counted of a keyspace, and what it holds of it.
    ///
    /// Errors: [`EngineError::KeyspaceNotFound`](crate::EngineError::KeyspaceNotFound).
    pub fn stats(&self, keyspace: &str) -> Result<KeySpaceStats> {
        Ok(self.node.registry.slot(keyspace)?.current()?.stats())
    }
}
