//! Writing and removing many keys in one round trip.

use std::{
    fmt,
    future::IntoFuture,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use serde::Serialize;

use super::{
    Cache,
    options::{Until, WriteOptions, write_setters},
    read_many::{good, in_place},
};
use crate::{
    address::Address,
    clock::BoxFuture,
    error::Result,
    format::Format,
    request::{OneOrMany, Remove, Set, SetItem, When, Written},
};

/// A write of many keys, done when it is awaited.
#[must_use = "nothing is written before it is awaited"]
pub struct SetManyBuilder<'a, F> {
    cache: &'a Cache<F>,
    items: Vec<Result<(Address, Bytes)>>,
    options: WriteOptions,
    timeout: Option<Duration>,
}

impl<F: Format> Cache<F> {
    /// Writes many values under the same options; awaited for one result per item, in order.
    ///
    /// One item that cannot be written, for its key or its value, fails no other. A key given twice is written twice, in
    /// order.
    pub fn set_many<'v, K, T>(&self, items: impl IntoIterator<Item = (K, &'v T)>) -> SetManyBuilder<'_, F>
    where
        K: AsRef<[u8]>,
        T: Serialize + ?Sized + 'v,
    {
        let (keys, values): (Vec<K>, Vec<&T>) = items.into_iter().unzip();
        let encoded = values.into_iter().map(|value| self.format.encode(value));
        let place = |(address, value): (Result<Address>, Result<Bytes>)| Ok((address?, value?));
        let items = self.addresses(keys).into_iter().zip(encoded).map(place).collect();
        SetManyBuilder { cache: self, items, options: WriteOptions::default(), timeout: None }
    }

    /// Removes many keys; one result per key, in order: whether there was a live value. A wrong key fails no other.
    pub fn remove_many(&self, keys: impl IntoIterator<Item: AsRef<[u8]>>) -> RemoveManyBuilder<'_, F> {
        RemoveManyBuilder { cache: self, addresses: self.addresses(keys), timeout: None }
    }
}

/// A removal of many keys, done when it is awaited.
#[must_use = "nothing is removed before it is awaited"]
pub struct RemoveManyBuilder<'a, F> {
    cache: &'a Cache<F>,
    addresses: Vec<Result<Address>>,
    timeout: Option<Duration>,
}

impl<F: Format> RemoveManyBuilder<'_, F> {
    /// Bounds the call. Default: the cache's store timeout.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = Some(limit);
        self
    }

    async fn remove(self) -> Result<Vec<Result<bool>>> {
        let core = &self.cache.core;
        let deadline = core.own_deadline(self.timeout)?;
        let items: OneOrMany<Address> = good(&self.addresses).collect();
        if items.is_empty() {
            return Ok(in_place(self.addresses, []));
        }
        items.iter().for_each(|address| core.flights.forget(address));
        let removed = core.call(Remove { items, scope: core.scope(Some(deadline)) }).await;
        core.changed(self.addresses.iter().flatten());
        Ok(in_place(self.addresses, removed?))
    }
}

impl<F> fmt::Debug for RemoveManyBuilder<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoveManyBuilder").field("keys", &self.addresses.len()).finish_non_exhaustive()
    }
}

impl<'a, F: Format> IntoFuture for RemoveManyBuilder<'a, F> {
    type Output = Result<Vec<Result<bool>>>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.remove())
    }
}

impl<'a, F: Format> SetManyBuilder<'a, F> {
    write_setters!(options);

    /// Bounds the call. Default: the cache's store timeout.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = Some(limit);
        self
    }

    async fn write(self) -> Result<Vec<Result<Written>>> {
        let core = &self.cache.core;
        // Wrong options are wrong for every item: nothing is attempted.
        core.check_write(&self.options)?;
        let deadline = core.own_deadline(self.timeout)?;
        let item = |item: Result<(Address, Bytes)>| {
            let (address, value) = item?;
            let entry = self.cache.new_entry(value, self.options.clone())?;
            Ok(SetItem { address, entry, when: When::Always })
        };
        let placed: Vec<Result<SetItem>> = self.items.into_iter().map(item).collect();
        let items: OneOrMany<SetItem> = good(&placed).collect();
        if items.is_empty() {
            return Ok(in_place(placed, []));
        }
        items.iter().for_each(|item| core.flights.forget(&item.address));
        let stored = core.call(Set { items, scope: core.scope(Some(deadline)) }).await;
        core.changed(placed.iter().flatten().map(|item| &item.address));
        Ok(in_place(placed, stored?))
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
