//! Loading one key.

use std::sync::Arc;

use serde::{Serialize, de::DeserializeOwned};

use super::{
    super::{counters::Outcome, fetched::Fetched, options::WriteOptions},
    LoadBuilder, Loader, Shape,
    flight::Right,
    job::{Job, is_due},
    look::{Look, Verdict},
};
use crate::{
    address::Parts,
    clock::Tick,
    entry::Meta,
    error::{Error, Result},
    format::Format,
};

impl<F, N, L, T, R> LoadBuilder<'_, F, N, L, T, R>
where
    F: Format,
    N: AsRef<[u8]>,
    L: Loader<T>,
    T: Serialize + DeserializeOwned + Send + 'static,
{
    /// Answers from the near tier without a future, unless there is more to do than that.
    pub(super) fn near_hit(&self) -> Result<Fetched<R::Value>, Due>
    where
        R: Shape<T>,
    {
        let not_here = |_| Due(false);
        self.check().map_err(not_here)?;
        let cache = self.cache;
        let parts = Parts::new(cache.space(), self.name.as_ref()).map_err(not_here)?;
        let tells = R::TOLD || self.load.refreshes();
        let mut told = None;
        let kept = cache.near_value::<T, R>(&parts, &self.ask, tells.then_some(&mut told));
        let (value, meta) = match kept {
            Some(value) => {
                self.check_due(told.as_ref())?;
                (value, told)
            }
            None => {
                let entry = cache.near_entry(&parts, &self.ask).ok_or(Due(false))?;
                self.check_due(tells.then_some(&entry.meta))?;
                // What cannot be opened is found, and counted, once more on the way through the stack.
                let uncounted = cache.core.counters.uncounted();
                let value = cache.open_near::<T, R>(&parts, &entry);
                uncounted.ended();
                (value.map_err(|_| Due(false))?, Some(entry.meta))
            }
        };
        cache.core.counters.at_once(Outcome::Hit);
        Ok(cache.hit(value, meta.as_ref().filter(|_| R::TOLD)))
    }

    fn check_due(&self, meta: Option<&Meta>) -> Result<(), Due> {
        let core = &self.cache.core;
        let due = meta.is_some_and(|meta| is_due(core, &self.load, meta, core.clock.now()));
        if due { Err(Due(true)) } else { Ok(()) }
    }

    fn check(&self) -> Result<()> {
        check_value::<T>()?;
        self.ask.check()?;
        self.load.check()?;
        // The cache's own options were checked when it was built.
        if self.write.is_default() { Ok(()) } else { self.cache.core.check_write(&self.write) }
    }

    pub(super) async fn fetch(self, due: Due) -> Result<Fetched<T>> {
        let core = Arc::clone(&self.cache.core);
        let mut counted = core.counters.begin(1);
        let result = self.look_and_load(due).await;
        counted.answered(result.as_ref().map(|fetched| fetched.outcome));
        result
    }

    async fn look_and_load(self, due: Due) -> Result<Fetched<T>> {
        self.check()?;
        let core = &self.cache.core;
        let address = core.address(&Parts::new(self.cache.space(), self.name.as_ref())?)?;
        let give_up = self.give_up(core.clock.now());
        let mut look = Look::new(self.cache, &address, self.ask, give_up);
        let verdict = look.verdict().await?;
        let Self { cache, loader, load, write, .. } = self;
        // Made only where something is to be loaded: a hit costs none of it.
        let (negative_ttl, source) = (load.negative_ttl, &load.source);
        let job = || Job {
            cache: cache.clone(),
            address: address.clone(),
            loader,
            write,
            negative_ttl,
            source: source.clone(),
        };
        match verdict {
            Verdict::Hit(fetched, entry) => {
                if due.0 || is_due(core, &load, &entry.meta, core.clock.now()) {
                    job().refresh_early(entry);
                }
                Ok(fetched)
            }
            Verdict::Stale(stale, _, None) | Verdict::Negative(stale) => Ok(stale),
            Verdict::Stale(stale, entry, Some(lease)) => {
                let patience = look.patience(&entry, load.soft_timeout);
                Ok(cache.land_or(job().start(Right::Lease(lease), Some(entry)), stale, patience).await)
            }
            Verdict::Load(right) => cache.land(job().start(right, None), give_up, load.keep_loading).await,
            Verdict::Join(flight) => cache.land(flight, give_up, load.keep_loading).await,
        }
    }

    fn give_up(&self, started: Tick) -> Tick {
        let hard = started.after(self.load.hard_timeout.unwrap_or(self.cache.core.settings.load_timeout));
        self.ask.timeout.map_or(hard, |timeout| hard.min(started.after(timeout)))
    }
}

/// Refuses to load options: `None` would be stored like any value.
///
/// By the type's name, which no compiler promises; where it is another, nothing is refused.
pub(super) fn check_value<T>() -> Result<()> {
    if std::any::type_name::<T>().starts_with("core::option::Option<") {
        let limit = "no Option (return one from the loader, and call `.optional()`)";
        return Err(Error::invalid("the type of a loaded value", limit, "an Option"));
    }
    Ok(())
}

/// Whether a near hit is to be refreshed early: drawn once a call.
#[derive(Clone, Copy)]
pub(super) struct Due(bool);

impl WriteOptions {
    fn is_default(&self) -> bool {
        let Self { until, sliding, stale_for, jitter, tags, bad_tag, compress: _, encrypt: _ } = self;
        let times = until.is_none() && sliding.is_none() && stale_for.is_none() && jitter.is_none();
        times && tags.is_empty() && bad_tag.is_none()
    }
}
