//! A source with what protects it: asked by loads only.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use memstache_core::{BoxError, Clock, Error, ErrorKind, IntoLoaded, Loaded, Result, Tick, resilience::RateLimiter};

use super::{herd::Herd, octets::Octets, refusals::Refusals};
use crate::{
    keyspace::{AnySource, Expiry, Key, RateLimit, Settings, Sourced},
    stats::{Counters, count},
    wire::DataSourceError,
};

/// A source behind its rate limiter; the breaker is the handle's.
pub(super) struct Guard {
    source: Arc<dyn AnySource>,
    settings: Arc<Settings>,
    limiter: Option<Limiter>,
    refusals: Arc<Refusals>,
    counters: Arc<Counters>,
    herd: Arc<Herd>,
    clock: Arc<dyn Clock>,
}

impl Guard {
    pub(super) fn new(
        source: Arc<dyn AnySource>,
        settings: Arc<Settings>,
        limit: Option<RateLimit>,
        refusals: Arc<Refusals>,
        counters: Arc<Counters>,
        herd: Arc<Herd>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let limiter = limit.map(|limit| Limiter::new(limit, Arc::clone(&clock))).transpose()?;
        Ok(Self { source, settings, limiter, refusals, counters, herd, clock })
    }

    /// Divides the budget by so many live members.
    pub(super) fn shared_by(&self, members: u32) {
        if let Some(limiter) = &self.limiter {
            limiter.shared_by(members);
        }
    }

    /// Returns how many keys a second pass, of all nodes and of this one.
    #[cfg(feature = "admin")]
    pub(super) fn limit(&self) -> Option<(u32, u32)> {
        let limiter = self.limiter.as_ref()?;
        let share = |members| limiter.limit.share_rate(members);
        Some((share(1), share(limiter.members.load(Relaxed))))
    }

    /// Asks the source for one key.
    pub(super) async fn fetch(&self, key: Key) -> Result<Loaded<Octets>, BoxError> {
        let _turns = self.herd.turns(std::iter::once(key.stored())).await;
        self.admit(1).await?;
        let fetched = Arc::clone(&self.source).fetch(key.clone()).await;
        self.answered(&key, fetched)
    }

    /// Asks the source for the bare value of one key that is not this node's.
    pub(super) async fn ask(&self, key: Key) -> Result<Option<Bytes>> {
        self.admit(1).await?;
        let fetched = Arc::clone(&self.source).fetch(key).await;
        match fetched {
            Err(error) if !is_not_found(&error) => {
                count(&self.counters.local_load_errs, 1);
                Err(Error::new(ErrorKind::Load, "the data source failed").with_source(error))
            }
            fetched => {
                count(&self.counters.fallback_loads, 1);
                Ok(fetched.ok().flatten().map(|sourced| sourced.value))
            }
        }
    }

    /// Asks the source for several keys; each has a result of its own.
    pub(super) async fn fetch_many(&self, keys: Vec<Key>) -> Result<Vec<(Key, Loaded<Octets>)>, BoxError> {
        let _turns = self.herd.turns(keys.iter().map(Key::stored)).await;
        self.admit(keys.len()).await?;
        let mut fetched = Arc::clone(&self.source).fetch_many(keys.clone()).await.into_iter();
        let missing = || Err("the data source answered fewer keys than it was asked for".into());
        let answer = |key: Key| {
            let answered = self.answered(&key, fetched.next().unwrap_or_else(missing));
            let loaded = answered.unwrap_or_else(Loaded::failed);
            (key, loaded)
        };
        Ok(keys.into_iter().map(answer).collect())
    }

    async fn admit(&self, keys: usize) -> Result<()> {
        let admitted = match &self.limiter {
            Some(limiter) => limiter.admit(keys).await,
            None => Ok(()),
        };
        match &admitted {
            Ok(()) => self.refusals.passed(),
            Err(_) => {
                self.refusals.refused();
                count(&self.counters.rate_limited, keys);
            }
        }
        admitted
    }

    /// Counts what the source said of a key, and turns it into what is stored.
    fn answered(&self, key: &Key, fetched: Result<Option<Sourced>, BoxError>) -> Result<Loaded<Octets>, BoxError> {
        match fetched {
            Ok(Some(value)) => {
                count(&self.counters.local_loads, 1);
                Ok(self.loaded(key, value))
            }
            Ok(None) => Ok(self.missing()),
            Err(error) if is_not_found(&error) => Ok(self.missing()),
            Err(error) => {
                count(&self.counters.local_load_errs, 1);
                Err(error)
            }
        }
    }

    fn missing(&self) -> Loaded<Octets> {
        count(&self.counters.local_loads, 1);
        None::<Octets>.into_loaded()
    }

    /// The source's own end beats that of the keyspace, which beats the default: that one is the handle's.
    fn loaded(&self, key: &Key, sourced: Sourced) -> Loaded<Octets> {
        let end = sourced.expiry.or_else(|| self.settings.expiry.as_ref().and_then(|of| of(key)));
        let value = Octets(sourced.value);
        let loaded = match end.map(|end: Expiry| end.left(self.clock.wall())) {
            None => Loaded::store(value),
            Some(Duration::ZERO) => Loaded::skip(value),
            Some(ttl) => Loaded::store(value).ttl(ttl),
        };
        loaded.tags(sourced.tags)
    }
}

/// Whether a source's error says that there is no such key.
fn is_not_found(error: &BoxError) -> bool {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(&**error);
    while let Some(error) = next {
        if error.downcast_ref::<Error>().is_some_and(|own| own.kind() == ErrorKind::NotFound) {
            return true;
        }
        next = error.source();
    }
    false
}

/// This node's part of a keyspace's budget of questions.
struct Limiter {
    limit: RateLimit,
    members: AtomicU32,
    current: ArcSwap<(u32, RateLimiter)>,
    clock: Arc<dyn Clock>,
}

impl Limiter {
    fn new(limit: RateLimit, clock: Arc<dyn Clock>) -> Result<Self> {
        let config = limit.share(1);
        let limiter = RateLimiter::with_clock(config, Arc::clone(&clock))?;
        Ok(Self {
            limit,
            members: AtomicU32::new(1),
            current: ArcSwap::from_pointee((limit.share_burst(1), limiter)),
            clock,
        })
    }

    fn shared_by(&self, members: u32) {
        if self.members.swap(members, Relaxed) == members {
            return;
        }
        let config = self.limit.share(members);
        // A share of a checked limit is good. What was let through under the old share is forgotten: a burst at most.
        if let Ok(limiter) = RateLimiter::with_clock(config, Arc::clone(&self.clock)) {
            self.current.store(Arc::new((self.limit.share_burst(members), limiter)));
        }
    }

    /// Takes the turn of so many keys, or waits for it as long as it may. A batch above the burst counts as the burst.
    async fn admit(&self, keys: usize) -> Result<()> {
        let give_up = self.clock.now().after(self.limit.wait());
        loop {
            let current = self.current.load_full();
            let most = current.0;
            let Err(refused) = current.1.try_take(u32::try_from(keys).unwrap_or(most).min(most)) else {
                return Ok(());
            };
            let after = refused.retry_after().unwrap_or_default().max(Duration::from_millis(1));
            let turn: Tick = self.clock.now().after(after);
            if turn > give_up {
                return Err(Error::new(ErrorKind::Overloaded, "the data source is rate limited")
                    .with_retry_after(after)
                    .with_source(DataSourceError::RateLimited));
            }
            self.clock.sleep_until(turn).await;
        }
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("limited", &self.limiter.is_some()).finish_non_exhaustive()
    }
}
