//! Members that left without a word, and may not know it: while others still see what they see, they answer for what they owned and
//! from their copies.

use parking_lot::Mutex;
use tokio::sync::watch;

use memstache_core::{Clock, Tick};

use super::tables::Tables;
use crate::{member::NodeId, placement::Partition};

/// Members that may answer, and are told of nothing.
#[derive(Debug, Default)]
pub(crate) struct Gone {
    all: Mutex<Vec<One>>,
    /// Told when one answers for less long than was thought.
    changed: watch::Sender<()>,
}

#[derive(Debug)]
struct One {
    id: NodeId,
    /// By which it may keep copies.
    tables: Tables,
    until: Tick,
}

impl Gone {
    /// Takes note of who is gone, by which tables it may keep copies, and until when at the latest it answers.
    pub(super) fn note(&self, id: NodeId, tables: Tables, until: Tick, now: Tick) {
        let mut all = self.all.lock();
        all.retain(|one| one.id != id && one.until > now);
        all.push(One { id, tables, until });
    }

    /// Says that some answer no longer than that.
    pub(super) fn end(&self, ids: &[NodeId], until: Tick) {
        let mut all = self.all.lock();
        all.iter_mut().filter(|one| ids.contains(&one.id)).for_each(|one| one.until = one.until.min(until));
        drop(all);
        self.changed.send_replace(());
    }

    /// Waits until none of them answers for anything; returns whether any did.
    pub(crate) async fn answer_no_more(&self, clock: &dyn Clock) -> bool {
        self.ended(clock, |_| true).await
    }

    /// Waits until none of them answers from a copy of a partition; returns whether any did.
    pub(crate) async fn keep_no_more(&self, clock: &dyn Clock, partition: Partition, replicas: usize) -> bool {
        let keeps = |one: &One| one.tables.keepers(partition, replicas).is_none_or(|all| all.contains(&one.id));
        self.ended(clock, keeps).await
    }

    async fn ended(&self, clock: &dyn Clock, is_one: impl Fn(&One) -> bool) -> bool {
        let (mut changed, mut any) = (self.changed.subscribe(), false);
        let last = || self.all.lock().iter().filter(|one| is_one(one)).map(|one| one.until).max();
        while let Some(until) = last().filter(|until| *until > clock.now()) {
            any = true;
            tokio::select! {
                biased;
                () = clock.sleep_until(until) => {}
                // Its sender is here: it cannot be gone.
                _ = changed.changed() => {}
            }
        }
        any
    }
}
