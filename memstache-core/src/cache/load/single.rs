//! Loading one key.

use std::{future::Future, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};

use super::{
    super::{counters::Outcome, fetched::Fetched, options::WriteOptions},
    IntoLoaded, LoadBuilder, LoadContext,
    flight::Right,
    job::{Job, is_due},
    look::{Look, Verdict},
};
use crate::{
    address::Parts,
    clock::Tick,
    error::{BoxError, Result},
    format::Format,
};

impl<F, N, L, T, R, O, V, E> LoadBuilder<'_, F, N, L, T, R>
where
    F: Format,
    N: AsRef<[u8]>,
    L: FnOnce(LoadContext<T>) -> O + Send + 'static,
    O: Future<Output = Result<V, E>> + Send + 'static,
    V: IntoLoaded<T> + 'static,
    E: Into<BoxError> + 'static,
    T: Serialize + DeserializeOwned + Send + 'static,
{
    /// Answers from the near tier, unless there is more to do than that.
    pub(super) fn near_hit(&self) -> Option<Fetched<T>> {
        self.check().ok()?;
        let (core, now) = (&self.cache.core, self.cache.core.clock.now());
        let parts = Parts::new(self.cache.space(), self.name.as_ref()).ok()?;
        let entry = core.service.try_hit(&parts, &self.ask.scope(core, now, false), now)?;
        if is_due(core, &self.load, &entry, now) {
            return None;
        }
        let value = self.cache.open(&entry).ok()?;
        core.counters.begin(1).answered(Ok(Outcome::Hit));
        Some(Fetched::cached(Some(value), Outcome::Hit, &entry.meta, now))
    }

    fn check(&self) -> Result<()> {
        self.ask.check()?;
        self.load.check()?;
        // The cache's own options were checked when it was built.
        if self.write.is_default() { Ok(()) } else { self.cache.core.check_write(&self.write) }
    }

    pub(super) async fn fetch(self) -> Result<Fetched<T>> {
        let core = Arc::clone(&self.cache.core);
        let mut counted = core.counters.begin(1);
        let result = self.look_and_load().await;
        counted.answered(result.as_ref().map(|fetched| fetched.outcome));
        result
    }

    async fn look_and_load(self) -> Result<Fetched<T>> {
        self.check()?;
        let core = &self.cache.core;
        let address = core.address(&Parts::new(self.cache.space(), self.name.as_ref())?);
        let give_up = self.give_up(core.clock.now());
        let verdict = Look::new(self.cache, &address, self.ask, give_up).verdict().await?;
        let Self { cache, loader, load, write, .. } = self;
        let job = Job { cache: cache.clone(), address, loader, write, negative_ttl: load.negative_ttl };
        match verdict {
            Verdict::Hit(fetched, entry) => {
                if is_due(core, &load, &entry, core.clock.now()) {
                    job.refresh_early(entry);
                }
                Ok(fetched)
            }
            Verdict::Stale(stale, _, None) | Verdict::Negative(stale) => Ok(stale),
            Verdict::Stale(stale, entry, Some(lease)) => {
                let flight = job.start(Right::Lease(lease), Some(entry.clone()));
                Ok(cache.land_or(flight, stale, &entry, load.soft_timeout).await)
            }
            Verdict::Load(right) => cache.land(job.start(right, None), give_up, load.keep_loading).await,
            Verdict::Join(flight) => cache.land(flight, give_up, load.keep_loading).await,
        }
    }

    fn give_up(&self, started: Tick) -> Tick {
        let hard = started.after(self.load.hard_timeout.unwrap_or(self.cache.core.settings.load_timeout));
        self.ask.timeout.map_or(hard, |timeout| hard.min(started.after(timeout)))
    }
}

impl WriteOptions {
    fn is_default(&self) -> bool {
        let Self { until, sliding, stale_for, jitter, tags, bad_tag, compress: _, encrypt: _ } = self;
        let times = until.is_none() && sliding.is_none() && stale_for.is_none() && jitter.is_none();
        times && tags.is_empty() && bad_tag.is_none()
    }
}
