//! fred with plain GET, SET and MGET.

use anyhow::{Context as _, Result};
use fred::{
    clients::Client as Driver,
    interfaces::{ClientLike as _, KeysInterface as _},
    types::{Builder, Expiration, RespVersion, Value, config::Config},
};

use super::{Client, TTL};

/// One connection.
#[derive(Clone)]
pub(super) struct Bare(Driver);

impl Bare {
    pub(super) async fn connect(url: &str) -> Result<Self> {
        let mut config = Config::from_url(url)?;
        // As memstache's store speaks.
        config.version = RespVersion::RESP3;
        let driver = Builder::from_config(config).build()?;
        driver.init().await?;
        Ok(Self(driver))
    }

    pub(super) fn client(&self) -> Driver {
        self.0.clone()
    }
}

impl Client for Bare {
    async fn get(&self, key: &str) -> Result<usize> {
        let value: Value = self.0.get(key).await?;
        value.as_bytes().map(<[u8]>::len).context("a key is missing")
    }

    async fn set(&self, key: &str, value: &str) -> Result<()> {
        let expires = Expiration::PX(i64::try_from(TTL.as_millis())?);
        Ok(self.0.set(key, value, Some(expires), None, false).await?)
    }

    async fn get_many(&self, keys: &[&str]) -> Result<usize> {
        let values: Vec<Value> = self.0.mget(keys.to_vec()).await?;
        values.iter().map(|value| value.as_bytes().map(<[u8]>::len).context("a key is missing")).sum()
    }
}
