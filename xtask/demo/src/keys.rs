//! The keys of the shops: what the store keeps of one opens under its own key only.

use std::sync::Arc;

use anyhow::Result;
use memstache_core::MemoryRecords;
use memstache_crypto::{Keyring, KeyringTask, Seal, Secret, StaticProvider, SystemRandom};

/// A keyring with a key for each shop, made when it first writes, and the seal of the stack.
///
/// Master key and records are gone with the program, and so is what was sealed: the cache of a demo outlives no run.
#[derive(Debug)]
pub(crate) struct Keys {
    pub(crate) seal: Seal,
    /// Without it, keys expire.
    _refreshing: KeyringTask,
}

impl Keys {
    /// Makes a master key and opens the keyring.
    pub(crate) async fn new() -> Result<Self> {
        let master = Secret::random(&SystemRandom::new())?;
        let provider = StaticProvider::dangerous_from_secrets([master])?;
        let keyring = Keyring::builder("demo", Arc::new(MemoryRecords::new()), Arc::new(provider)).open().await?;
        let seal = Seal::builder(keyring.clone()).build()?;
        Ok(Self { seal, _refreshing: keyring.run() })
    }
}
