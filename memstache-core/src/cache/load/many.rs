//! Loading many keys: the loader sees only the missing ones, each once across concurrent callers.

use std::{
    fmt,
    future::{Future, IntoFuture},
    marker::PhantomData,
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::future::join_all;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    super::{
        Cache,
        core::{Core, LoadOptions},
        fetched::Fetched,
        options::{Until, WriteOptions, write_setters},
        read::ReadOptions,
        read_many::{good, in_place},
    },
    BatchLoader, IntoLoaded,
    ask::{Granted, ask, named},
    batch::{Batch, Wanted},
    builder::load_setters,
    flight::{Landed, Right},
    look::{Look, Verdict, is_degraded},
    single::check_value,
};
use crate::{
    address::Address,
    clock::{BoxFuture, Tick},
    coalesce::Joined,
    entry::Entry,
    error::{BoxError, Result},
    format::Format,
    request::{Consistency, Found, Get, GetItem, Lookup, OnMiss, OneOrMany},
};

/// A read of many keys that loads the missing ones, done when it is awaited.
#[must_use = "nothing is read or loaded before it is awaited"]
pub struct LoadManyBuilder<'a, F, K, L, T> {
    cache: &'a Cache<F>,
    keys: Vec<K>,
    loader: L,
    ask: ReadOptions,
    load: LoadOptions,
    write: WriteOptions,
    value: PhantomData<fn() -> T>,
}

impl<F: Format> Cache<F> {
    /// Returns the values of many keys, in the order asked; the missing ones are loaded together and stored.
    ///
    /// The loader is given the keys that are missing and that nobody else is loading, and returns pairs of key and value
    /// in any order; what it leaves out, the source does not have. A key that another caller is loading is waited for.
    /// It may be called again when another caller's load of some key fails. Pairs that were not asked for are ignored.
    ///
    /// Each key has a result of its own: a key out of its limits, one that fails
    /// ([`Loaded::failed`](super::Loaded::failed)) or a value that cannot be encoded fails no other. If the loader itself
    /// fails, each key that it was given has that error. Keys are cloned for the loader's task: give owned ones (`String`,
    /// `Arc<str>`) or `&'static str`. Early refresh is for single keys only.
    ///
    /// # Cancellation
    /// As for [`get_or_load`](Self::get_or_load).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> memstache_core::Result<()> {
    /// # use memstache_core::{Cache, Json, MemoryStore, Stack};
    /// # let stack = Stack::over(MemoryStore::builder().build()?).build();
    /// # let cache = Cache::builder(stack).keyspace("k").format(Json).build()?;
    /// cache.set("a", &1).await?;
    /// let found = cache
    ///     .get_many_or_load(["b", "a", "c"], |missing: Vec<&'static str>| async move {
    ///         assert_eq!(missing, ["b", "c"]);
    ///         Ok::<_, std::io::Error>(vec![("b", 2)])
    ///     })
    ///     .await?;
    /// let found: Vec<Option<i32>> = found.into_iter().collect::<Result<_, _>>()?;
    /// assert_eq!(found, [Some(2), Some(1), None]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn get_many_or_load<T, K, L, O, I, V, E>(
        &self,
        keys: impl IntoIterator<Item = K>,
        loader: L,
    ) -> LoadManyBuilder<'_, F, K, L, T>
    where
        K: AsRef<[u8]> + Clone + Send + Sync + 'static,
        L: Fn(Vec<K>) -> O + Send + Sync + 'static,
        O: Future<Output = Result<I, E>> + Send + 'static,
        I: IntoIterator<Item = (K, V)> + 'static,
        V: IntoLoaded<T> + 'static,
        E: Into<BoxError> + 'static,
        T: Serialize + DeserializeOwned + Send + 'static,
    {
        LoadManyBuilder {
            cache: self,
            keys: keys.into_iter().collect(),
            loader,
            ask: ReadOptions::default(),
            load: self.core.settings.load.clone(),
            write: WriteOptions::default(),
            value: PhantomData,
        }
    }
}

impl<F, K, L, T> LoadManyBuilder<'_, F, K, L, T> {
    write_setters!(write);
    load_setters!();
}

impl<'a, F, K, L, T> IntoFuture for LoadManyBuilder<'a, F, K, L, T>
where
    F: Format,
    K: AsRef<[u8]> + Clone + Send + Sync + 'static,
    L: BatchLoader<K, T>,
    T: Serialize + DeserializeOwned + Send + 'static,
{
    type Output = Result<Vec<Result<Option<T>>>>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.fetch())
    }
}

impl<F, K, L, T> LoadManyBuilder<'_, F, K, L, T>
where
    F: Format,
    K: AsRef<[u8]> + Clone + Send + Sync + 'static,
    L: BatchLoader<K, T>,
    T: Serialize + DeserializeOwned + Send + 'static,
{
    async fn fetch(self) -> Result<Vec<Result<Option<T>>>> {
        check_value::<T>()?;
        self.ask.check()?;
        self.load.check()?;
        self.cache.core.check_write(&self.write)?;
        let addresses = self.cache.addresses(&self.keys);
        let core = Arc::clone(&self.cache.core);
        let mut counted = core.counters.begin(addresses.len());
        let fetched = match self.look_and_load(&addresses).await {
            Ok(fetched) => in_place(addresses, fetched),
            Err(error) => {
                counted.failed();
                return Err(error);
            }
        };
        let answer = |fetched: Result<Fetched<T>>| {
            counted.answered(fetched.as_ref().map(|fetched| fetched.outcome));
            fetched.map(|fetched| fetched.value)
        };
        Ok(fetched.into_iter().map(answer).collect())
    }

    /// Answers for the good addresses, one after the other.
    async fn look_and_load(self, addresses: &[Result<Address>]) -> Result<Vec<Result<Fetched<T>>>> {
        let core = &self.cache.core;
        let started = core.clock.now();
        let hard = started.after(self.load.hard_timeout.unwrap_or(core.settings.load_timeout));
        let give_up = self.ask.timeout.map_or(hard, |timeout| hard.min(started.after(timeout)));
        let items: OneOrMany<GetItem> = good(addresses).map(|address| named(address.into())).collect();
        if items.is_empty() {
            return Ok(Vec::new());
        }
        let mut found = ask_many(core, items, self.ask, give_up).await?;
        let Self { cache, keys, loader, ask, load, write, .. } = self;
        let (negative_ttl, source) = (load.negative_ttl, load.source);
        let batch = Batch { cache: cache.clone(), loader: Arc::new(loader), write, negative_ttl, source };
        let plan = Plan { give_up, soft_timeout: load.soft_timeout, keep_loading: load.keep_loading };

        let mut asked: Vec<Asked<'_, F, K, T>> = addresses
            .iter()
            .zip(keys)
            .filter_map(|(address, key)| Some((address.as_ref().ok()?, key)))
            .map(|(address, key)| Asked {
                look: Look::new(cache, address, ask, give_up),
                key,
                state: State::Open(None),
            })
            .collect();
        loop {
            let open = asked.iter().filter(|asked| asked.is_open()).map(|asked| asked.look.address);
            let granted = Granted::of(core, open.zip(&found));
            // Who is busy is judged only once this call's own flights are in the air: a key given twice joins them.
            for (asked, lookup) in asked.iter_mut().filter(|asked| asked.is_open()).zip(found) {
                asked.state = match lookup {
                    Ok(Lookup::Busy(id)) => State::Open(Some(Ok(Lookup::Busy(id)))),
                    lookup => asked.look.judge(lookup).await.map_or_else(State::Failed, State::judged),
                };
            }
            // Before the store is asked again, so that a lease never waits in a future that may be dropped.
            start(&batch, &mut asked);
            granted.taken();
            // What could not be opened is asked for again, all at once, as if it were missing.
            let again: OneOrMany<_> =
                asked.iter().filter(|asked| asked.is_open()).map(|open| open.look.item()).collect();
            if again.is_empty() {
                break;
            }
            let count = again.len();
            let answer = ask_many(core, again, ask, give_up).await;
            found = answer.unwrap_or_else(|error| (0..count).map(|_| Err(error.clone())).collect());
        }
        Ok(join_all(asked.into_iter().map(|asked| asked.land(&batch, plan))).await)
    }
}

/// Asks about many keys at once. A store that is out of reach makes every key this caller's to load.
async fn ask_many(core: &Arc<Core>, items: OneOrMany<GetItem>, options: ReadOptions, give_up: Tick) -> Result<Found> {
    let count = items.len();
    let deadline = Some(core.store_deadline(core.clock.now(), Some(give_up)));
    let scope = options.scope_until(core, deadline);
    match ask(core, Get { items, on_miss: OnMiss::Lease, scope }, deadline).await {
        Err(error) if is_degraded(&error) => Ok((0..count).map(|_| Err(error.clone())).collect()),
        found => found,
    }
}

/// What all keys of a call share.
#[derive(Clone, Copy)]
struct Plan {
    give_up: Tick,
    soft_timeout: Duration,
    keep_loading: bool,
}

/// One key of the call.
struct Asked<'a, F, K, T> {
    look: Look<'a, F>,
    key: K,
    state: State<T>,
}

enum State<T> {
    /// Not clear yet; with the first answer if that is still to be judged.
    Open(Option<Result<Lookup>>),
    Clear(Verdict<T>),
    /// With the stale value that is the answer once patience ends.
    Flying(Joined<Landed>, Option<(Fetched<T>, Entry)>),
    Failed(crate::error::Error),
}

impl<T> State<T> {
    fn judged(verdict: Option<Verdict<T>>) -> Self {
        verdict.map_or(Self::Open(None), Self::Clear)
    }
}

/// Starts one flight for all keys that are this caller's to load.
fn start<F, K, L, T>(batch: &Batch<F, L>, asked: &mut [Asked<'_, F, K, T>])
where
    F: Format,
    K: AsRef<[u8]> + Clone + Send + Sync + 'static,
    L: BatchLoader<K, T>,
    T: Serialize + DeserializeOwned + Send + 'static,
{
    let mut wanted = Vec::new();
    for asked in asked.iter() {
        let (right, stale) = match &asked.state {
            State::Clear(Verdict::Load(right)) => (*right, None),
            State::Clear(Verdict::Stale(_, entry, Some(lease))) => (Right::Lease(*lease), Some(entry.clone())),
            _ => continue,
        };
        wanted.push(Wanted { address: asked.look.address.clone(), key: asked.key.clone(), right, stale });
    }
    let mut flights = batch.start(wanted).into_iter();
    for asked in asked {
        let next = match std::mem::replace(&mut asked.state, State::Open(None)) {
            State::Clear(Verdict::Load(_)) => flights.next().map(|flight| State::Flying(flight, None)),
            State::Clear(Verdict::Stale(stale, entry, Some(_))) => {
                flights.next().map(|flight| State::Flying(flight, Some((stale, entry))))
            }
            other => Some(other),
        };
        asked.state = next.expect("one flight for each wanted key");
    }
}

impl<F, K, T> Asked<'_, F, K, T> {
    /// Whether the store is to be asked about it, once more.
    fn is_open(&self) -> bool {
        matches!(self.state, State::Open(None))
    }
}

impl<F: Format, K, T> Asked<'_, F, K, T> {
    async fn land<L>(mut self, batch: &Batch<F, L>, plan: Plan) -> Result<Fetched<T>>
    where
        K: AsRef<[u8]> + Clone + Send + Sync + 'static,
        L: BatchLoader<K, T>,
        T: Serialize + DeserializeOwned + Send + 'static,
    {
        if let State::Open(first) = &mut self.state {
            let judged = match first.take() {
                Some(found) => self.look.judge(found).await?,
                None => None,
            };
            let verdict = match judged {
                Some(verdict) => verdict,
                None => self.look.verdict().await?,
            };
            self.state = State::Clear(verdict);
            start(batch, std::slice::from_mut(&mut self));
        }
        let cache = self.look.cache;
        match self.state {
            State::Failed(error) => Err(error),
            State::Flying(flight, None) | State::Clear(Verdict::Join(flight)) => {
                cache.land(flight, plan.give_up, plan.keep_loading).await
            }
            State::Flying(flight, Some((stale, entry))) => {
                Ok(cache.land_or(flight, stale, self.look.patience(&entry, plan.soft_timeout)).await)
            }
            State::Clear(Verdict::Hit(fetched, _) | Verdict::Stale(fetched, ..) | Verdict::Negative(fetched)) => {
                Ok(fetched)
            }
            State::Clear(Verdict::Load(_)) | State::Open(_) => unreachable!("started above"),
        }
    }
}

impl<F, K, L, T> fmt::Debug for LoadManyBuilder<'_, F, K, L, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadManyBuilder").field("keys", &self.keys.len()).finish_non_exhaustive()
    }
}
