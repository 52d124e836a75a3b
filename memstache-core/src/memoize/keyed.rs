//! The memo of closures.

use std::{fmt, sync::Arc, time::Duration};

use serde::{Serialize, de::DeserializeOwned};

use super::{Kept, Memo, MemoKey, MemoizeLayer, Recalled};
use crate::error::{Error, Result};

type Ask<T, R> = Arc<dyn Fn(&T) -> R + Send + Sync>;

/// A [`Memo`] of closures, for responses that can be cached as they are; made by [`MemoizeLayer::new`].
pub struct Keyed<Req, Res> {
    key: Ask<Req, MemoKey>,
    only_if: Option<Ask<Req, bool>>,
    cacheable_if: Option<Ask<Res, bool>>,
    failed_if: Option<Ask<Res, bool>>,
    ttl: Option<Ask<Res, Duration>>,
    tags: Option<Ask<Res, Vec<String>>>,
}

impl<C, Req, Res> MemoizeLayer<C, Keyed<Req, Res>> {
    /// Caches responses in `cache` under what `key` says of their requests.
    ///
    /// The response must be `Serialize + DeserializeOwned`. Callers get [`Error`], with the inner error as a source.
    ///
    /// ```
    /// use std::time::Duration;
    /// use memstache_core::memoize::{MemoKey, MemoizeLayer};
    /// # use memstache_core::{Cache, Json, MemoryStore, Stack};
    /// # let stack = Stack::over(MemoryStore::builder().build()?).build();
    /// # let cache = Cache::builder(stack).keyspace("k").format(Json).build()?;
    ///
    /// struct Ask { user: u64, fresh: bool }
    ///
    /// let layer = MemoizeLayer::new(cache, |ask: &Ask| MemoKey::new(format!("user:{}", ask.user)).tags(["users"]))
    ///     .only_if(|ask: &Ask| !ask.fresh)
    ///     .cacheable_if(|names: &Vec<String>| !names.is_empty())
    ///     .ttl_with(|names: &Vec<String>| Duration::from_secs(60 * names.len() as u64))
    ///     .tags_with(|names: &Vec<String>| names.iter().map(|name| format!("name:{name}")).collect::<Vec<_>>());
    /// # let service = tower::service_fn(|ask: Ask| async move { Ok::<Vec<String>, std::fmt::Error>(vec![ask.user.to_string()]) });
    /// # drop(tower::ServiceExt::oneshot(tower::Layer::layer(&layer, service), Ask { user: 7, fresh: true }));
    /// # Ok::<(), memstache_core::Error>(())
    /// ```
    pub fn new<K: Into<MemoKey>>(cache: C, key: impl Fn(&Req) -> K + Send + Sync + 'static) -> Self {
        let key: Ask<Req, MemoKey> = Arc::new(move |request| key(request).into());
        let memo = Keyed { key, only_if: None, cacheable_if: None, failed_if: None, ttl: None, tags: None };
        Self::with_memo(cache, memo)
    }

    /// Caches only what is asked for by such requests; the others are passed by. Default: all.
    #[must_use]
    pub fn only_if(mut self, wanted: impl Fn(&Req) -> bool + Send + Sync + 'static) -> Self {
        self.memo_mut().only_if = Some(Arc::new(wanted));
        self
    }

    /// Caches only such responses; the others go to who asked for them. Default: all.
    #[must_use]
    pub fn cacheable_if(mut self, good: impl Fn(&Res) -> bool + Send + Sync + 'static) -> Self {
        self.memo_mut().cacheable_if = Some(Arc::new(good));
        self
    }

    /// Takes such responses for failures: they are not cached, and a stale value is preferred. Default: none.
    #[must_use]
    pub fn failed_if(mut self, bad: impl Fn(&Res) -> bool + Send + Sync + 'static) -> Self {
        self.memo_mut().failed_if = Some(Arc::new(bad));
        self
    }

    /// Sets how long a response lives; zero does not cache it. Default: what the key says, or the cache.
    #[must_use]
    pub fn ttl_with(mut self, ttl: impl Fn(&Res) -> Duration + Send + Sync + 'static) -> Self {
        self.memo_mut().ttl = Some(Arc::new(ttl));
        self
    }

    /// Adds tags to those of the key, by which a response can be invalidated.
    #[must_use]
    pub fn tags_with<I>(mut self, tags: impl Fn(&Res) -> I + Send + Sync + 'static) -> Self
    where
        I: IntoIterator<Item: Into<String>>,
    {
        self.memo_mut().tags = Some(Arc::new(move |response| tags(response).into_iter().map(Into::into).collect()));
        self
    }
}

impl<Req, Res> Memo<Req, Res> for Keyed<Req, Res>
where
    Req: 'static,
    Res: Serialize + DeserializeOwned + Send + 'static,
{
    type Value = Res;
    type Answer = Res;
    type Error = Error;

    fn key(&self, request: &Req) -> Option<MemoKey> {
        let wanted = self.only_if.as_ref().is_none_or(|wanted| wanted(request));
        wanted.then(|| (self.key)(request))
    }

    async fn store(&self, response: Res) -> Kept<Res, Res> {
        if self.failed_if.as_ref().is_some_and(|bad| bad(&response)) {
            return Kept::Failed(response);
        }
        let ttl = self.ttl.as_ref().map(|ttl| ttl(&response));
        if ttl == Some(Duration::ZERO) || self.cacheable_if.as_ref().is_some_and(|good| !good(&response)) {
            return Kept::Pass(response);
        }
        let tags = self.tags.as_ref().map(|tags| tags(&response)).unwrap_or_default();
        Kept::store_with(response, |loaded| {
            let loaded = loaded.tags(tags);
            match ttl {
                Some(ttl) => loaded.ttl(ttl),
                None => loaded,
            }
        })
    }

    fn restore(&self, value: Res, _: &Recalled) -> Res {
        value
    }

    fn pass(&self, response: Res) -> Res {
        response
    }

    fn fail(&self, error: Error) -> Result<Res> {
        Err(error)
    }
}

impl<Req, Res> Clone for Keyed<Req, Res> {
    fn clone(&self) -> Self {
        Self {
            key: Arc::clone(&self.key),
            only_if: self.only_if.clone(),
            cacheable_if: self.cacheable_if.clone(),
            failed_if: self.failed_if.clone(),
            ttl: self.ttl.clone(),
            tags: self.tags.clone(),
        }
    }
}

impl<Req, Res> fmt::Debug for Keyed<Req, Res> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyed").finish_non_exhaustive()
    }
}
