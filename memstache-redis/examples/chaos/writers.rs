//! Tasks that write, remove and change the source.

use std::sync::Arc;

use fastrand::Rng;
use memstache_core::{
    Cache, Error, ErrorKind, Json, Tenanted,
    testing::{History, WriteOutcome},
};

use crate::{
    tally::Tally,
    world::{Key, World},
};

/// One write in so many is a removal.
const REMOVALS: u32 = 6;

/// Writes and removes the keys of one writer until the time is over.
pub(crate) async fn write(world: Arc<World>, cache: Cache<Json, Tenanted>, writer: u32) {
    let mut rng = Rng::with_seed(world.plan.seed ^ u64::from(writer));
    let mut own = Own::default();
    let keys = World::of(&world.written, writer);
    while !world.is_over() {
        let key = keys[rng.usize(..keys.len())];
        let handle = cache.for_tenant(&key.tenant_id());
        let (stamp, began) = (key.advance(), world.now());
        if rng.u32(..REMOVALS) == 0 {
            let result = handle.remove(&key.name).await;
            own.tally.count(&result, began, world.now());
            own.history.removed(&stamp, world.now(), outcome(&result));
        } else {
            let result = handle.set(&key.name, &stamp.to_string()).await;
            own.tally.count(&result, began, world.now());
            own.history.stored(&stamp, world.now(), outcome(&result));
        }
        tokio::time::sleep(world.plan.pace).await;
    }
    own.give(&world);
}

/// Changes the source of one writer's keys, and removes what is cached of them, until the time is over.
pub(crate) async fn change(world: Arc<World>, cache: Cache<Json, Tenanted>, writer: u32) {
    let mut rng = Rng::with_seed(world.plan.seed ^ 0x5eed ^ u64::from(writer));
    let mut own = Own::default();
    let keys = World::of(&world.loaded, writer);
    while !world.is_over() {
        let key: &Key = keys[rng.usize(..keys.len())];
        let (stamp, began) = (key.advance(), world.now());
        let result = cache.for_tenant(&key.tenant_id()).remove(&key.name).await;
        own.tally.count(&result, began, world.now());
        // The source has the version whatever became of the removal.
        let outcome = if result.is_ok() { WriteOutcome::Acknowledged } else { WriteOutcome::Unknown };
        own.history.stored(&stamp, world.now(), outcome);
        tokio::time::sleep(world.plan.pace).await;
    }
    own.give(&world);
}

/// What one task recorded.
#[derive(Debug, Default)]
struct Own {
    history: History,
    tally: Tally,
}

impl Own {
    fn give(self, world: &World) {
        world.record(|seen| {
            seen.history.merge(self.history);
            seen.writes.merge(&self.tally);
        });
    }
}

/// A write that was cut off may be done; any other error says that it is not.
fn outcome<T>(result: &Result<T, Error>) -> WriteOutcome {
    match result {
        Ok(_) => WriteOutcome::Acknowledged,
        Err(error) if matches!(error.kind(), ErrorKind::Unknown | ErrorKind::Timeout) => WriteOutcome::Unknown,
        Err(_) => WriteOutcome::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_write_that_was_cut_off_is_unknown() {
        let of = |kind| outcome(&Err::<(), _>(Error::new(kind, "x")));
        assert_eq!(outcome(&Ok(())), WriteOutcome::Acknowledged);
        assert_eq!(of(ErrorKind::Unknown), WriteOutcome::Unknown);
        assert_eq!(of(ErrorKind::Unavailable), WriteOutcome::Failed);
    }
}
