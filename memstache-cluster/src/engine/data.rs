//! Reading and writing.

use std::sync::Arc;

use bytes::Bytes;
use memstache_core::{
    Address, Get, GetItem, Invalidate, Lookup, OnMiss, OneOrMany, Operation, Remove, Request, Result, Scope, Sequence,
    Set, SetItem, Space, Tag, Target, When, Written,
};

use super::{Engine, Put, slot::Slot};
use crate::{owner::Local, stats::count};

impl Engine {
    /// Puts a value under a key of 1 to 1,024 bytes; whatever was there goes, and a load that is under way does not bring it
    /// back.
    ///
    /// It lives as long as it says itself, else by the keyspace's default ttl, else until it is evicted.
    ///
    /// Errors: [`Invalid`](memstache_core::ErrorKind::Invalid), [`TooLarge`](memstache_core::ErrorKind::TooLarge) for more than
    /// an eighth of the keyspace, [`Unknown`](memstache_core::ErrorKind::Unknown) when it was not confirmed in time, and those of
    /// [`EngineError`](super::EngineError).
    ///
    /// # Cancellation
    /// It may or may not have happened; so it is for all writes.
    pub async fn put(&self, keyspace: &str, key: impl AsRef<[u8]>, value: impl Into<Put>) -> Result<()> {
        let (slot, local) = self.open(keyspace)?;
        let address = self.address(&local, key.as_ref())?;
        let entry = value.into().entry(&local.spec.0, self.node.clock.wall())?;
        self.one(&slot, Set::one(address, entry)).await.and_then(stored)
    }

    /// Puts values under keys, all at once; each has a result of its own, in the order given.
    pub async fn put_many<K: AsRef<[u8]>, V: Into<Put>>(
        &self,
        keyspace: &str,
        entries: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Vec<Result<()>>> {
        let (slot, local) = self.open(keyspace)?;
        let wall = self.node.clock.wall();
        let item = |(key, value): (K, V)| {
            let address = self.address(&local, key.as_ref())?;
            Ok(SetItem { address, entry: value.into().entry(&local.spec.0, wall)?, when: When::Always })
        };
        let items = entries.into_iter().map(item).collect();
        let many = |items| Set { items, scope: Scope::default() };
        Ok(self.many(&slot, items, many).await?.into_iter().map(|written| written.and_then(stored)).collect())
    }

    /// Returns the value of a key; `None` if there is none, and its source, if it has one, has none either.
    ///
    /// Of a keyspace with a source, what is missing is loaded: once for all who ask.
    ///
    /// Errors: what the source failed with is the [source](memstache_core::Error::find_source) of
    /// [`Load`](memstache_core::ErrorKind::Load); a [`DataSourceError`](crate::DataSourceError) that of what protects it. Those of
    /// [`EngineError`](super::EngineError).
    ///
    /// # Cancellation
    /// A load that was begun goes on for the others who wait.
    pub async fn get(&self, keyspace: &str, key: impl AsRef<[u8]>) -> Result<Option<Bytes>> {
        let (slot, local) = self.open(keyspace)?;
        let address = self.address(&local, key.as_ref())?;
        self.one(&slot, Get::one(address)).await.map(value)
    }

    /// Returns the values of keys, all at once; each has a result of its own, in the order asked.
    ///
    /// The source is asked once for all that is missing, by [`fetch_many`](crate::DataSource::fetch_many).
    pub async fn get_many<K: AsRef<[u8]>>(
        &self,
        keyspace: &str,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Vec<Result<Option<Bytes>>>> {
        let (slot, local) = self.open(keyspace)?;
        let items = keys.into_iter().map(|key| self.address(&local, key.as_ref()).map(GetItem::from)).collect();
        let many = |items| Get { items, on_miss: OnMiss::Report, scope: Scope::default() };
        Ok(self.many(&slot, items, many).await?.into_iter().map(|found| found.map(value)).collect())
    }

    /// Removes a key; returns whether it had a value here. A load that is under way does not bring it back, and nobody who asks
    /// afterwards gets what was there.
    pub async fn delete(&self, keyspace: &str, key: impl AsRef<[u8]>) -> Result<bool> {
        let (slot, local) = self.open(keyspace)?;
        let address = self.address(&local, key.as_ref())?;
        count(&local.counters.remove_keys_requests, 1);
        let removed = self.one(&slot, Remove::one(address)).await;
        count(&local.counters.removed_keys, usize::from(*removed.as_ref().unwrap_or(&false)));
        removed
    }

    /// Removes keys, all at once; each has a result of its own, in the order given.
    pub async fn delete_many<K: AsRef<[u8]>>(
        &self,
        keyspace: &str,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Vec<Result<bool>>> {
        let (slot, local) = self.open(keyspace)?;
        let items = keys.into_iter().map(|key| self.address(&local, key.as_ref())).collect();
        count(&local.counters.remove_keys_requests, 1);
        let removed = self.many(&slot, items, |items| Remove { items, scope: Scope::default() }).await?;
        count(&local.counters.removed_keys, removed.iter().filter(|removed| matches!(removed, Ok(true))).count());
        Ok(removed)
    }

    /// Hides all keys of this handle's tenant in a keyspace, whatever their number; others of the engine's keyspace stay.
    pub async fn clear(&self, keyspace: &str) -> Result<Sequence> {
        let (slot, local) = self.open(keyspace)?;
        self.one(&slot, Invalidate::one(Target::Space(self.space(&local)))).await
    }

    /// Hides all keys that carry a tag, of this handle's tenant in a keyspace.
    pub async fn invalidate_tag(&self, keyspace: &str, tag: impl AsRef<str>) -> Result<Sequence> {
        let (slot, local) = self.open(keyspace)?;
        let target = Target::Tag(self.space(&local), Tag::new(tag)?);
        self.one(&slot, Invalidate::one(target)).await
    }

    pub(super) fn open(&self, keyspace: &str) -> Result<(Arc<Slot>, Arc<Local>)> {
        self.node.ready()?;
        let slot = self.node.registry.slot(keyspace)?;
        let local = slot.current()?;
        Ok((slot, local))
    }

    fn space(&self, local: &Local) -> Space {
        Space::new(self.tenant.as_ref(), local.spec.name())
    }

    pub(super) fn address(&self, local: &Local, key: &[u8]) -> Result<Address> {
        Address::plain(&self.space(local), key)
    }

    /// Runs an operation of one item.
    async fn one<O, T>(&self, slot: &Arc<Slot>, op: O) -> Result<T>
    where
        O: Operation<Output = OneOrMany<Result<T>>>,
    {
        let answer = O::output(self.node.run(slot, op.into()).await?)?;
        answer.into_one().unwrap_or_else(|| Err(other_number()))
    }

    /// Runs an operation of the good items, and answers for all in their order.
    async fn many<I, O, T>(
        &self,
        slot: &Arc<Slot>,
        items: Vec<Result<I>>,
        op: impl FnOnce(OneOrMany<I>) -> O,
    ) -> Result<Vec<Result<T>>>
    where
        O: Operation<Output = OneOrMany<Result<T>>>,
    {
        let mut wrong = Vec::with_capacity(items.len());
        let mut good = Vec::with_capacity(items.len());
        for item in items {
            match item {
                Ok(item) => {
                    good.push(item);
                    wrong.push(None);
                }
                Err(error) => wrong.push(Some(error)),
            }
        }
        let mut answers = if good.is_empty() {
            OneOrMany::Many(Vec::new())
        } else {
            let request: Request = op(good.into_iter().collect()).into();
            O::output(self.node.run(slot, request).await?)?
        }
        .into_iter();
        let answer = |wrong: Option<_>| match wrong {
            Some(error) => Err(error),
            None => answers.next().unwrap_or_else(|| Err(other_number())),
        };
        Ok(wrong.into_iter().map(answer).collect())
    }
}

fn value(lookup: Lookup) -> Option<Bytes> {
    match lookup {
        Lookup::Hit(entry) | Lookup::Stale(entry, _) => Some(entry.value),
        _ => None,
    }
}

fn stored(written: Written) -> Result<()> {
    match written {
        Written::Stored(_) => Ok(()),
        _ => Err(memstache_core::Error::new(memstache_core::ErrorKind::Protocol, "an unconditional write was refused")),
    }
}

fn other_number() -> memstache_core::Error {
    memstache_core::Error::new(memstache_core::ErrorKind::Protocol, "the engine answered another number of items")
}
