//! Tasks that read.

use std::{convert::Infallible, sync::Arc, time::Duration};

use fastrand::Rng;
use memstache_core::{Cache, Error, Json, Tenanted, testing::History};

use crate::{
    tally::Tally,
    world::{Key, Seen, World},
};

/// How a task reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// What was written, from the store.
    Plain,
    /// What was written, through a near cache.
    Near,
    /// What a source has, through a near cache.
    Loaded,
}

/// Reads any keys until the time is over.
pub(crate) async fn read(world: Arc<World>, cache: Cache<Json, Tenanted>, mode: Mode, number: usize) {
    let mut rng = Rng::with_seed(world.plan.seed.rotate_left(17) ^ number as u64);
    let (mut history, mut tally) = (History::new(), Tally::default());
    let keys = if mode == Mode::Loaded { &world.loaded } else { &world.written };
    while !world.is_over() {
        let key = &keys[rng.usize(..keys.len())];
        let began = world.now();
        let result = mode.ask(&world, &cache, key).await;
        tally.count(&result, began, world.now());
        if let Ok(seen) = &result {
            history.read(key.tenant, &key.name, began, mode.bound(&world), seen.as_deref());
        }
        tokio::time::sleep(world.plan.pace).await;
    }
    world.record(|seen| {
        seen.history.merge(history);
        mode.tally(seen).merge(&tally);
    });
}

impl Mode {
    async fn ask(self, world: &World, cache: &Cache<Json, Tenanted>, key: &Key) -> Result<Option<String>, Error> {
        let handle = cache.for_tenant(&key.tenant_id());
        match self {
            Self::Plain => handle.read().authority().get(&key.name).await,
            Self::Near => handle.get(&key.name).await,
            Self::Loaded => {
                let source = key.clone();
                let pace = world.plan.pace;
                let load = move |_| async move {
                    let current = source.current();
                    // As a source that is elsewhere: time enough for a change to overtake what is loaded.
                    tokio::time::sleep(pace).await;
                    Ok::<_, Infallible>(current.to_string())
                };
                handle.get_or_load(&key.name, load).await.map(Some)
            }
        }
    }

    /// By how much an answer may lag behind.
    fn bound(self, world: &World) -> Duration {
        match self {
            // What is loaded is changed through the very near cache that it is read through.
            Self::Plain | Self::Loaded => world.plan.bound,
            Self::Near => world.plan.near_bound,
        }
    }

    fn tally(self, seen: &mut Seen) -> &mut Tally {
        match self {
            Self::Plain => &mut seen.plain,
            Self::Near => &mut seen.near,
            Self::Loaded => &mut seen.loaded,
        }
    }
}
