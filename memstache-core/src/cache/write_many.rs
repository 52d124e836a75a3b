//! Writing and removing many keys in one round trip.

use std::{
    fmt,
    future::IntoFuture,
    time::{Duration, SystemTime},
};

use serde::Serialize;

use super::{
    Cache,
    options::{Until, WriteOptions, write_setters},
};
use crate::{
    clock::BoxFuture,
    error::{Error, ErrorKind, Result},
    format::Format,
    request::{Remove, Set, SetItem, When, Written},
};

/// A write of many keys, done when it is awaited.
#[must_use = "nothing is written before it is awaited"]
pub struct SetManyBuilder<'a, F> {
    cache: &'a Cache<F>,
    items: Result<Vec<(crate::address::Address, Result<bytes::Bytes>)>>,
    options: WriteOptions,
}

impl<F: Format> Cache<F> {
    /// Writes many values under the same options; awaited for one result per item, in order.
    ///
    /// One item that cannot be written fails no other. A key given twice is written twice, in order.
    pub fn set_many<'v, K, T>(&self, items: impl IntoIterator<Item = (K, &'v T)>) -> SetManyBuilder<'_, F>
    where
        K: AsRef<[u8]>,
        T: Serialize + ?Sized + 'v,
    {
        let (keys, values): (Vec<K>, Vec<&T>) = items.into_iter().unzip();
        let encoded = values.into_iter().map(|value| self.format.encode(value));
        let items = self.addresses(keys).map(|addresses| addresses.into_iter().zip(encoded).collect());
        SetManyBuilder { cache: self, items, options: WriteOptions::default() }
    }

    /// Removes many keys; one result per key, in order: whether there was a live value.
    pub async fn remove_many(&self, keys: impl IntoIterator<Item: AsRef<[u8]>>) -> Result<Vec<Result<bool>>> {
        let addresses = self.addresses(keys)?;
        if addresses.is_empty() {
            return Ok(Vec::new());
        }
        addresses.iter().for_each(|address| self.core.flights.forget(address));
        let deadline = self.core.store_deadline(self.core.clock.now(), None);
        let remove = Remove { items: addresses.iter().cloned().collect(), scope: self.core.scope(Some(deadline)) };
        let removed = self.core.call(remove).await;
        self.core.changed(&addresses);
        Ok(removed?.into_iter().collect())
    }
}

impl<'a, F: Format> SetManyBuilder<'a, F> {
    write_setters!(options);

    async fn write(self) -> Result<Vec<Result<Written>>> {
        let core = &self.cache.core;
        // Wrong options are wrong for every item: nothing is attempted.
        core.check_write(&self.options)?;
        let (mut results, mut items, mut addresses) = (Vec::new(), Vec::new(), Vec::new());
        for (address, value) in self.items? {
            match value.and_then(|value| self.cache.new_entry(value, self.options.clone())) {
                Ok(entry) => {
                    core.flights.forget(&address);
                    addresses.push(address.clone());
                    items.push(SetItem { address, entry, when: When::Always });
                    results.push(None);
                }
                Err(error) => results.push(Some(Err(error))),
            }
        }
        if !items.is_empty() {
            let scope = core.scope(Some(core.store_deadline(core.clock.now(), None)));
            let stored = core.call(Set { items: items.into_iter().collect(), scope }).await;
            core.changed(&addresses);
            let open = results.iter_mut().filter(|result| result.is_none());
            open.zip(stored?).for_each(|(result, stored)| *result = Some(stored));
        }
        let lost = || Err(Error::new(ErrorKind::Protocol, "an item was not answered"));
        Ok(results.into_iter().map(|result| result.unwrap_or_else(lost)).collect())
    }
}

impl<F> fmt::Debug for SetManyBuilder<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SetManyBuilder").field("options", &self.options).finish_non_exhaustive()
    }
}

impl<'a, F: Format> IntoFuture for SetManyBuilder<'a, F> {
    type Output = Result<Vec<Result<Written>>>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.write())
    }
}
