//! Reading many keys in one round trip.

use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::{Cache, counters::Counted, load::shape, read::Read};
use crate::{
    address::Address,
    error::{Error, ErrorKind, Result},
    format::Format,
    request::{Get, GetItem, Lookup, OnMiss, OneOrMany},
};

impl<F: Format> Cache<F> {
    /// Returns the values of many keys, in the order asked; duplicates are allowed.
    ///
    /// Each key has a result of its own, a wrong key too; the whole call is an error only when nothing was attempted.
    pub async fn get_many<T: DeserializeOwned>(
        &self,
        keys: impl IntoIterator<Item: AsRef<[u8]>>,
    ) -> Result<Vec<Result<Option<T>>>> {
        self.read().get_many(keys).await
    }

    /// Returns the values of many keys, shared, as [`get_arc`](Self::get_arc) does; results as of
    /// [`get_many`](Self::get_many).
    pub async fn get_many_arc<T>(
        &self,
        keys: impl IntoIterator<Item: AsRef<[u8]>>,
    ) -> Result<Vec<Result<Option<Arc<T>>>>>
    where
        T: DeserializeOwned + Send + Sync + 'static,
    {
        self.read().get_many_arc(keys).await
    }

    /// Builds the addresses of many keys; a wrong one is an error in its own place.
    pub(super) fn addresses<K: AsRef<[u8]>>(&self, keys: impl IntoIterator<Item = K>) -> Vec<Result<Address>> {
        keys.into_iter().map(|key| self.address(key)).collect()
    }
}

/// Puts the answers about the good items among the errors of the others, in the order asked.
pub(super) fn in_place<A, T>(items: Vec<Result<A>>, answers: impl IntoIterator<Item = Result<T>>) -> Vec<Result<T>> {
    let mut answers = answers.into_iter();
    items.into_iter().map(|item| item.and_then(|_| answers.next().unwrap_or_else(lost))).collect()
}

fn lost<T>() -> Result<T> {
    Err(Error::new(ErrorKind::Protocol, "an item was not answered"))
}

/// Clones the good items.
pub(super) fn good<A: Clone>(items: &[Result<A>]) -> impl Iterator<Item = A> {
    items.iter().flatten().cloned()
}

impl<F: Format> Read<'_, F> {
    /// Like [`Cache::get_many`], with these options.
    pub async fn get_many<T: DeserializeOwned>(
        &self,
        keys: impl IntoIterator<Item: AsRef<[u8]>>,
    ) -> Result<Vec<Result<Option<T>>>> {
        self.options.check()?;
        let addresses = self.cache.addresses(keys);
        let mut counted = self.cache.core.counters.begin(addresses.len());
        self.fetch_many(addresses, &mut counted).await
    }

    /// Like [`Cache::get_many_arc`], with these options.
    pub async fn get_many_arc<T>(
        &self,
        keys: impl IntoIterator<Item: AsRef<[u8]>>,
    ) -> Result<Vec<Result<Option<Arc<T>>>>>
    where
        T: DeserializeOwned + Send + Sync + 'static,
    {
        self.options.check()?;
        let (mut counted, near) = self.near_hits::<T, _>(&keys.into_iter().collect::<Vec<_>>());
        let addresses: Vec<_> = near.iter().filter_map(|near| near.as_ref().err()).cloned().collect();
        let below = match self.fetch_many::<T>(addresses.clone(), &mut counted).await {
            // The others were answered: what failed fails for the rest only.
            Err(error) if addresses.len() < near.len() => addresses.iter().map(|_| Err(error.clone())).collect(),
            below => below?,
        };
        let mut below = below.into_iter().map(|value| value.map(|value| value.map(Arc::new)));
        let answer = |near: Result<_, _>| near.map_or_else(|_| below.next().unwrap_or_else(lost), Ok);
        Ok(near.into_iter().map(answer).collect())
    }

    /// What the near tier answers of many keys, counted, and the addresses of the others.
    fn near_hits<T, K>(&self, keys: &[K]) -> (Counted<'_>, Vec<NearHit<T>>)
    where
        T: DeserializeOwned + Send + Sync + 'static,
        K: AsRef<[u8]>,
    {
        let mut counted = self.cache.core.counters.begin(keys.len());
        let mut ask = |key: &K| match self.near_hit::<T, shape::Shared<shape::Optional>>(key.as_ref()) {
            Some(fetched) => {
                counted.answered(Ok(fetched.outcome));
                Ok(fetched.value)
            }
            None => Err(self.cache.address(key)),
        };
        let near = keys.iter().map(&mut ask).collect();
        (counted, near)
    }

    /// Asks the stack for many keys.
    async fn fetch_many<T: DeserializeOwned>(
        &self,
        addresses: Vec<Result<Address>>,
        counted: &mut Counted<'_>,
    ) -> Result<Vec<Result<Option<T>>>> {
        let core = &self.cache.core;
        let items: OneOrMany<_> = good(&addresses).map(GetItem::from).collect();
        let scope = self.options.scope(core, core.clock.now());
        let found = if items.is_empty() {
            items.map(|_| Ok(Lookup::Miss))
        } else {
            match core.call(Get { items, on_miss: OnMiss::Report, scope }).await {
                Ok(found) => found,
                Err(error) => {
                    counted.failed();
                    return Err(error);
                }
            }
        };
        addresses.iter().filter_map(|address| address.as_ref().err()).for_each(|wrong| counted.answered(Err(wrong)));
        let now = core.clock.now();
        let answers = found.into_iter().map(|lookup| {
            let fetched = self.arrived(lookup, now);
            counted.answered(fetched.as_ref().map(|fetched| fetched.outcome));
            fetched.map(|fetched| fetched.value)
        });
        Ok(in_place(addresses, answers))
    }
}

/// What the near tier answers, or the address to ask for.
type NearHit<T> = Result<Option<Arc<T>>, Result<Address>>;
