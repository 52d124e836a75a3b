//! redis-rs with plain GET, SET and MGET.

use anyhow::{Context as _, Result};
use redis::{AsyncCommands as _, aio::MultiplexedConnection};

use super::{Client, TTL};

/// One connection.
#[derive(Clone)]
pub(super) struct Multiplexed(MultiplexedConnection);

impl Multiplexed {
    pub(super) async fn connect(url: &str) -> Result<Self> {
        Ok(Self(redis::Client::open(url)?.get_multiplexed_async_connection().await?))
    }
}

impl Client for Multiplexed {
    async fn get(&self, key: &str) -> Result<usize> {
        let value: Option<Vec<u8>> = self.0.clone().get(key).await?;
        value.map(|value| value.len()).context("a key is missing")
    }

    async fn set(&self, key: &str, value: &str) -> Result<()> {
        let millis = u64::try_from(TTL.as_millis())?;
        Ok(self.0.clone().pset_ex(key, value, millis).await?)
    }

    async fn get_many(&self, keys: &[&str]) -> Result<usize> {
        let values: Vec<Option<Vec<u8>>> = self.0.clone().mget(keys).await?;
        values.into_iter().map(|value| value.map(|value| value.len()).context("a key is missing")).sum()
    }
}
