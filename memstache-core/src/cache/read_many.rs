//! Reading many keys in one round trip.

use serde::de::DeserializeOwned;

use super::{Cache, read::Read};
use crate::{
    address::{Address, Parts},
    error::{Error, ErrorKind, Result},
    format::Format,
    request::{Get, GetItem, OnMiss},
};

impl<F: Format> Cache<F> {
    /// Returns the values of many keys, in the order asked; duplicates are allowed.
    ///
    /// Each key has a result of its own; the whole call is an error only when nothing was attempted.
    pub async fn get_many<T: DeserializeOwned>(
        &self,
        keys: impl IntoIterator<Item: AsRef<[u8]>>,
    ) -> Result<Vec<Result<Option<T>>>> {
        self.read().get_many(keys).await
    }

    /// Builds the addresses of many keys; the error says which key was wrong.
    pub(super) fn addresses<K: AsRef<[u8]>>(&self, keys: impl IntoIterator<Item = K>) -> Result<Vec<Address>> {
        let address = |(at, key): (usize, K)| match Parts::new(self.space(), key.as_ref()) {
            Ok(parts) => Ok(self.core.address(&parts)),
            Err(error) => Err(Error::new(ErrorKind::Invalid, format!("item {at}: {error}"))),
        };
        keys.into_iter().enumerate().map(address).collect()
    }
}

impl<F: Format> Read<'_, F> {
    /// Like [`Cache::get_many`], with these options.
    pub async fn get_many<T: DeserializeOwned>(
        &self,
        keys: impl IntoIterator<Item: AsRef<[u8]>>,
    ) -> Result<Vec<Result<Option<T>>>> {
        let core = &self.cache.core;
        self.options.check()?;
        let addresses = self.cache.addresses(keys)?;
        if addresses.is_empty() {
            return Ok(Vec::new());
        }
        let mut counted = core.counters.begin(addresses.len());
        let scope = self.options.scope(core, core.clock.now());
        let items = addresses.into_iter().map(GetItem::from).collect();
        let found = match core.call(Get { items, on_miss: OnMiss::Report, scope }).await {
            Ok(found) => found,
            Err(error) => {
                counted.failed();
                return Err(error);
            }
        };
        let now = core.clock.now();
        let answer = |lookup| {
            let fetched = self.arrived(lookup, now);
            counted.answered(fetched.as_ref().map(|fetched| fetched.outcome));
            fetched.map(|fetched| fetched.value)
        };
        Ok(found.into_iter().map(answer).collect())
    }
}
