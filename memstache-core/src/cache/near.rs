//! Hits that the near tier answers at once: no future, no box, no allocation.

use std::{any::Any, sync::Arc};

use serde::de::DeserializeOwned;

use super::{Cache, counters::Outcome, fetched::Fetched, load::Shape, read::ReadOptions};
#[cfg(feature = "near")]
use crate::near::{Looked, NearView};
use crate::{
    address::Parts,
    entry::{Entry, Meta},
    format::Format,
    observe::Rejection,
    service::DecodedAs,
};

impl<F: Format> Cache<F> {
    /// Asks the near tier for a value that it keeps decoded, as a shape wants it.
    ///
    /// By an upper bound of now: what is fresh then is fresh now, and what is not goes through the stack, which judges
    /// to the tick.
    #[inline(always)]
    pub(super) fn near_value<T, S: Shape<T>>(
        &self,
        parts: &Parts<'_>,
        options: &ReadOptions,
        told: Option<&mut Option<Meta>>,
    ) -> Option<S::Value> {
        let wanted = DecodedAs::new(S::kept()?, self.format.id(), self.core.settings.schema);
        #[cfg(feature = "near")]
        if told.is_none() && options.is_plain(&self.core) {
            let (view, now) = (self.core.service.near_view(), self.core.clock.upper_bound());
            let look = |view: &NearView| view.decoded(parts, now, wanted, |value| S::held(Arc::clone(value)));
            if let Some(Looked::Sure(answer)) = view.map(look) {
                return answer;
            }
        }
        S::held(self.near_decoded(parts, options, &wanted, told)?)
    }

    /// Asks the near tier for more than a fresh value, or for one of which only its copy can tell.
    #[cold]
    #[inline(never)]
    fn near_decoded(
        &self,
        parts: &Parts<'_>,
        options: &ReadOptions,
        wanted: &DecodedAs,
        told: Option<&mut Option<Meta>>,
    ) -> Option<Arc<dyn Any + Send + Sync>> {
        let (near, now) = (self.core.service.near()?, self.core.clock.upper_bound());
        near.try_decoded(parts, &options.scope_until(&self.core, None), now, wanted, told)
    }

    /// Asks the near tier for an entry, in the same way.
    pub(super) fn near_entry(&self, parts: &Parts<'_>, options: &ReadOptions) -> Option<Entry> {
        let (near, now) = (self.core.service.near()?, self.core.clock.upper_bound());
        near.try_hit(parts, &options.scope_until(&self.core, None), now)
    }

    /// A hit, with what is known of its entry where the answer tells that.
    pub(super) fn hit<V>(&self, value: V, told: Option<&Meta>) -> Fetched<V> {
        match told {
            Some(meta) => Fetched::cached(Some(value), Outcome::Hit, meta, self.core.clock.now()),
            None => Fetched::value(value),
        }
    }

    /// Opens what the near tier answered, and has it keep what is shared; the error is why it could not, for who counts that.
    pub(super) fn open_near<T: DeserializeOwned, S: Shape<T>>(
        &self,
        parts: &Parts<'_>,
        entry: &Entry,
    ) -> Result<S::Value, Rejection> {
        let value = S::take(self.try_open(entry)?);
        if let (Some(near), Some(shared)) = (self.core.service.near(), S::share(&value)) {
            // What it takes in memory nobody can say: its own size, and what it refers to about as much as the bytes.
            near.keep_decoded(parts, entry, shared, size_of::<T>().saturating_add(entry.value.len()));
        }
        Ok(value)
    }
}
