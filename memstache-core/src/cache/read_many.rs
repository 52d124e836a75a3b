//! Reading many keys in one round trip.

use serde::de::DeserializeOwned;

use super::{Cache, read::Read};
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

    /// Builds the addresses of many keys; a wrong one is an error in its own place.
    pub(super) fn addresses<K: AsRef<[u8]>>(&self, keys: impl IntoIterator<Item = K>) -> Vec<Result<Address>> {
        keys.into_iter().map(|key| self.address(key)).collect()
    }
}

/// Puts the answers about the good items among the errors of the others, in the order asked.
pub(super) fn in_place<A, T>(items: Vec<Result<A>>, answers: impl IntoIterator<Item = Result<T>>) -> Vec<Result<T>> {
    let mut answers = answers.into_iter();
    let lost = || Err(Error::new(ErrorKind::Protocol, "an item was not answered"));
    items.into_iter().map(|item| item.and_then(|_| answers.next().unwrap_or_else(lost))).collect()
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
        let core = &self.cache.core;
        self.options.check()?;
        let addresses = self.cache.addresses(keys);
        let mut counted = core.counters.begin(addresses.len());
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
