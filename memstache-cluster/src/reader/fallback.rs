//! Reading from the source when the owner does not answer.
//!
//! What is loaded is answered and not kept: this node does not own it, and nobody would tell it of changes. The limiter and the
//! breaker are those of this node; each key is loaded once at a time.

use futures_util::future::join_all;
use memstache_core::{Found, Get, Lookup, Result, Tick};

use crate::{keyspace::Key, owner::Local};

impl Local {
    /// Answers a read from the source.
    pub(crate) async fn fall_back(&self, op: Get, deadline: Tick) -> Found {
        let reads = op.items.into_iter().map(|item| self.fall_back_one(Key::new(item.address), deadline));
        let found: Vec<Result<Lookup>> = join_all(reads).await;
        found.into_iter().collect()
    }

    async fn fall_back_one(&self, key: Key, deadline: Tick) -> Result<Lookup> {
        Ok(match self.load_apart(key, deadline).await? {
            Some(value) => Lookup::Hit(self.unkept(value)),
            None => Lookup::Miss,
        })
    }
}
