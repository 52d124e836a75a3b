//! One flight for many keys.

use std::{collections::HashMap, future::Future, pin::pin, sync::Arc, time::Duration};

use futures_util::future::{Either, join_all, select};
use serde::Serialize;
use tracing::Instrument as _;

use super::{
    super::{Cache, core::Core, options::WriteOptions},
    BatchLoader, Loaded,
    bound::Place,
    bundle::Bundle,
    context::Found,
    flight::{Claim, Landed, Produced, Right, bounded, caught, keeping, store},
    source::Source,
};
use crate::{
    address::Address,
    coalesce::{Joined, Landing, Opened},
    entry::Entry,
    error::{Error, ErrorKind, Result},
    expiry,
    format::Format,
    observe::span,
    request::OneOrMany,
};

/// A loader of many keys with all that its flights need.
pub(super) struct Batch<F, L> {
    pub(super) cache: Cache<F>,
    pub(super) loader: Arc<L>,
    pub(super) write: WriteOptions,
    pub(super) negative_ttl: Option<Duration>,
    pub(super) source: Source,
}

/// A key that is this caller's to load.
pub(super) struct Wanted<K> {
    pub(super) address: Address,
    pub(super) key: K,
    pub(super) right: Right,
    pub(super) stale: Option<Entry>,
}

/// A key in the air.
struct Aboard<K> {
    key: K,
    stale: Option<Entry>,
    claim: Claim,
    landing: Landing<Address, Landed>,
}

impl<F: Format, L> Batch<F, L> {
    /// Starts one flight for all wanted keys, less those that are in the air by the same right.
    pub(super) fn start<T, K>(&self, wanted: Vec<Wanted<K>>) -> Vec<Joined<Landed>>
    where
        K: AsRef<[u8]> + Clone + Send + Sync + 'static,
        L: BatchLoader<K, T>,
        T: Serialize + Send + 'static,
    {
        let core = &self.cache.core;
        let bundle = Bundle::new(core);
        let mut aboard = Vec::new();
        let mut joined = Vec::with_capacity(wanted.len());
        for Wanted { address, key, right, stale } in wanted {
            match core.flights.open_as(address.clone(), right.id()) {
                Opened::Joined(flight) => {
                    core.counters.joined();
                    joined.push(flight);
                }
                Opened::Leads(landing, flight) => {
                    let until = stale.as_ref().map(|entry| expiry::dead_at(&entry.meta));
                    let claim = Claim::new(Arc::clone(core), address, right, until).bundled(&bundle);
                    aboard.push(Aboard { key, stale, claim, landing });
                    joined.push(flight);
                }
            }
        }
        if !aboard.is_empty() {
            let (cache, loader) = (self.cache.clone(), Arc::clone(&self.loader));
            let span = span::load(cache.space().keyspace(), aboard.len());
            let (write, negative_ttl, source) = (self.write.clone(), self.negative_ttl, self.source.here());
            tokio::spawn(fly_all(cache, loader, write, negative_ttl, source, aboard).instrument(span));
        }
        joined
    }
}

async fn fly_all<F, L, T, K>(
    cache: Cache<F>,
    loader: Arc<L>,
    write: WriteOptions,
    negative_ttl: Option<Duration>,
    source: Source,
    aboard: Vec<Aboard<K>>,
) where
    F: Format,
    K: AsRef<[u8]> + Clone + Send + Sync + 'static,
    L: BatchLoader<K, T>,
    T: Serialize + Send + 'static,
{
    let core = Arc::clone(&cache.core);
    let started = core.clock.now();
    let (keys, mut claims, landings) = board(&core, aboard);
    if claims.is_empty() {
        return;
    }
    let entered = Place::take(&core)
        .and_then(|place| Ok((place, core.enter(cache.space().tenant())?)))
        .and_then(|(place, permit)| Ok((place, permit, source.enter()?)));
    let (place, permit, pass) = match entered {
        Ok(entered) => entered,
        Err(error) => {
            claims.iter_mut().for_each(Claim::refused);
            drop(claims);
            return landings.into_iter().for_each(|landing| landing.land(Err(error.clone())));
        }
    };
    claims.iter_mut().for_each(Claim::begins);
    let names = keys.iter().map(|(key, _)| key.clone()).collect();
    let produce = async {
        let brought = source.around(loader.load(names)).await?;
        Ok(produce_all(&cache, &keys, brought, &write, negative_ttl))
    };
    let produced = bounded(&core, started, keeping(&core, &claims, guarded(produce, &landings))).await;
    pass.ended(produced.as_ref().err());
    let produced = produced.unwrap_or_else(|error| keys.iter().map(|_| Err(error.clone())).collect());
    let cost = core.clock.now().since(started);
    let (fills, mut landed): (Vec<_>, Vec<_>) =
        claims.iter_mut().zip(produced).map(|(claim, produced)| claim.prepare(produced, cost)).unzip();
    let filling: Vec<bool> = fills.iter().map(Option::is_some).collect();
    let items: OneOrMany<_> = fills.into_iter().flatten().collect();
    let stored = if items.is_empty() { Vec::new() } else { store(&core, items).await };
    let fills = claims.iter_mut().zip(&mut landed).zip(filling).filter(|(_, filling)| *filling);
    fills.zip(stored).for_each(|(((claim, landed), _), stored)| claim.filled(stored, landed));
    // Who is told may load at once: the places are free, and what is given back is on its way.
    drop((claims, place, permit));
    landings.into_iter().zip(landed).for_each(|(landing, landed)| landing.land(landed));
}

/// Boards the keys that have no standing failure; the others land with theirs.
fn board<K>(
    core: &Core,
    aboard: Vec<Aboard<K>>,
) -> (Vec<(K, Option<Entry>)>, Vec<Claim>, Vec<Landing<Address, Landed>>) {
    let now = core.clock.now();
    let (mut keys, mut claims, mut landings) = (Vec::new(), Vec::new(), Vec::new());
    for Aboard { key, stale, mut claim, landing } in aboard {
        if let Some(error) = claim.standing(now) {
            claim.release(Duration::ZERO);
            landing.land(Err(error));
            continue;
        }
        keys.push((key, stale));
        claims.push(claim);
        landings.push(landing);
    }
    (keys, claims, landings)
}

/// Runs the loader to its end, its panic, or until everybody gave up on every key.
async fn guarded<T>(load: impl Future<Output = Result<T>>, landings: &[Landing<Address, Landed>]) -> Result<T> {
    let load = pin!(caught(load));
    let abandoned = pin!(join_all(landings.iter().map(Landing::abandoned)));
    match select(load, abandoned).await {
        Either::Left((outcome, _)) => outcome,
        Either::Right(_) => Err(Error::new(ErrorKind::Timeout, "everybody gave up waiting for the load")),
    }
}

/// Pairs what the loader brought with what it was asked for.
fn produce_all<F, T, K>(
    cache: &Cache<F>,
    keys: &[(K, Option<Entry>)],
    brought: Vec<(K, Loaded<T>)>,
    write: &WriteOptions,
    negative_ttl: Option<Duration>,
) -> Vec<Result<Produced>>
where
    F: Format,
    K: AsRef<[u8]>,
    T: Serialize,
{
    let mut loaded: HashMap<Vec<u8>, Loaded<T>> =
        brought.into_iter().map(|(key, loaded)| (key.as_ref().to_vec(), loaded)).collect();
    let produce = |(key, stale): &(K, Option<Entry>)| {
        let absent = || Loaded { found: Found::Missing, options: WriteOptions::default() };
        let loaded = loaded.remove(key.as_ref()).unwrap_or_else(absent);
        cache.produced(loaded, write, negative_ttl, stale.clone())
    };
    keys.iter().map(produce).collect()
}
