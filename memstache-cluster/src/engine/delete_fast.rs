//! Deleting without waiting for copies.

use memstache_core::{Address, Remove, Result};

use super::{
    Engine,
    node::{cut_off, until},
};
use crate::{reader, stats::count};

/// What a delete that does not wait has left to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Partial {
    /// How many nodes may answer with what was there until they have dropped their copies: a moment, and at most the time of a
    /// lease. They were told, and had not confirmed it.
    pub unacked: usize,
}

impl Engine {
    /// Removes a key as [`delete`](Self::delete) does, and does not wait until every node has dropped its copy of it.
    ///
    /// Its owner does not answer with it any more when this returns. Copies are there of hot keys only; for how long they may be, is
    /// said by [`HotCopies`](crate::HotCopies).
    ///
    /// Errors as those of [`delete`](Self::delete).
    ///
    /// ```
    /// # use memstache_cluster::{Engine, KeySpace};
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> memstache_core::Result<()> {
    /// # let engine = Engine::builder().keyspace(KeySpace::builder("users").build()?).build()?;
    /// # engine.start().await?;
    /// engine.put("users", "7", "Ada").await?;
    /// assert_eq!(engine.delete_fast("users", "7").await?.unacked, 0); // nobody has a copy
    /// assert_eq!(engine.get("users", "7").await?, None);
    /// # Ok(()) }
    /// ```
    pub async fn delete_fast(&self, keyspace: &str, key: impl AsRef<[u8]>) -> Result<Partial> {
        let (slot, local) = self.open(keyspace)?;
        let address: Address = self.address(&local, key.as_ref())?;
        let Some(cluster) = self.node.cluster() else {
            self.delete(keyspace, key).await?;
            return Ok(Partial { unacked: 0 });
        };
        count(&local.counters.remove_keys_requests, 1);
        let _under_way = self.node.under_way.begin();
        self.node.ready()?;
        let deadline = self.node.deadline(&local, &Remove::one(address.clone()).into());
        let forget = reader::forget(&self.node, cluster, &slot, &address, deadline);
        let unacked = until(&self.node.clock, deadline, forget).await.unwrap_or_else(|| Err(cut_off(false)))?;
        Ok(Partial { unacked })
    }
}
