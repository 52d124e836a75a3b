//! Members that left without a word, and may not know it: while others still see what they see, they answer for what they owned and
//! from their copies.

use std::sync::Arc;

use memstache_core::{Clock, Tick};
use parking_lot::Mutex;
use tokio::sync::watch;

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
    /// The view that left it out.
    view: u64,
    /// By which it may keep copies.
    tables: Arc<Tables>,
    until: Tick,
}

impl One {
    /// Returns whether it may have copies of a partition.
    fn keeps(&self, partition: Partition, replicas: usize) -> bool {
        self.tables.keepers(partition, replicas).is_none_or(|all| all.contains(&self.id))
    }
}

impl Gone {
    /// Takes note of who is gone, by which tables it may keep copies, and until when at the latest it answers.
    pub(super) fn note(&self, id: NodeId, view: u64, tables: Arc<Tables>, until: Tick, now: Tick) {
        let mut all = self.all.lock();
        all.retain(|one| one.id != id && one.until > now);
        all.push(One { id, view, tables, until });
    }

    /// Says that some whom a view left out answer no longer than that.
    pub(super) fn end(&self, ids: &[NodeId], view: u64, until: Tick) {
        let mut all = self.all.lock();
        let those = all.iter_mut().filter(|one| one.view == view && ids.contains(&one.id));
        those.for_each(|one| one.until = one.until.min(until));
        drop(all);
        self.changed.send_replace(());
    }

    /// Returns whether any of them may answer for anything.
    pub(crate) fn may_answer(&self, now: Tick) -> bool {
        self.all.lock().iter().any(|one| one.until > now)
    }

    /// Waits until none of them answers for anything; returns whether any did.
    pub(crate) async fn answer_no_more(&self, clock: &dyn Clock) -> bool {
        self.ended(clock, |_| true).await
    }

    /// Returns whether any of them may answer from a copy of a partition.
    pub(crate) fn may_keep(&self, now: Tick, partition: Partition, replicas: usize) -> bool {
        self.all.lock().iter().any(|one| one.until > now && one.keeps(partition, replicas))
    }

    /// Waits until none of them answers from a copy of a partition; returns whether any did.
    pub(crate) async fn keep_no_more(&self, clock: &dyn Clock, partition: Partition, replicas: usize) -> bool {
        self.ended(clock, |one| one.keeps(partition, replicas)).await
    }

    async fn ended(&self, clock: &dyn Clock, is_one: impl Fn(&One) -> bool) -> bool {
        if self.all.lock().is_empty() {
            return false;
        }
        let (mut changed, mut any) = (self.changed.subscribe(), false);
        let last = || {
            let (mut all, now) = (self.all.lock(), clock.now());
            all.retain(|one| one.until > now);
            all.iter().filter(|one| is_one(one)).map(|one| one.until).max()
        };
        while let Some(until) = last() {
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use memstache_core::SystemClock;

    use super::*;
    use crate::Member;

    #[tokio::test(start_paused = true)]
    async fn one_that_is_gone_again_is_waited_for_though_the_first_time_has_ended() {
        let (gone, clock, id) = (Gone::default(), SystemClock::new(), Member::at(([10, 0, 0, 1], 3320).into()).id);
        let (start, after) = (clock.now(), |secs| clock.now().after(Duration::from_secs(secs)));
        gone.note(id, 1, Arc::default(), after(4), start);
        gone.note(id, 2, Arc::default(), after(5), start);
        gone.end(&[id], 1, after(1));
        assert!(gone.answer_no_more(&clock).await);
        assert!(clock.now().since(start) >= Duration::from_secs(5));
        gone.note(id, 3, Arc::default(), after(5), clock.now());
        let last = clock.now();
        gone.end(&[id], 3, after(1));
        assert!(gone.answer_no_more(&clock).await && clock.now().since(last) < Duration::from_secs(2));
        assert!(gone.all.lock().is_empty(), "who has been waited for is forgotten");
        assert!(!gone.answer_no_more(&clock).await);
    }
}
