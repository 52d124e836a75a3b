//! Who waits for the end of which lease.

use std::{collections::HashMap, sync::Arc};

use foldhash::quality::RandomState;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Those who wait, by stored key.
#[derive(Default)]
pub(crate) struct Waiters(Mutex<HashMap<Arc<[u8]>, Vec<Arc<Notify>>, RandomState>>);

/// Somebody who waits for some keys. Dropping it forgets them.
pub(crate) struct Watch {
    waiters: Arc<Waiters>,
    keys: Vec<Arc<[u8]>>,
    notify: Arc<Notify>,
    /// Whether ends are told; else it must be looked.
    pub(super) told: bool,
}

impl Waiters {
    pub(super) fn watch<'a>(self: &Arc<Self>, stored: impl Iterator<Item = &'a Arc<[u8]>>) -> Watch {
        let (keys, notify): (Vec<_>, _) = (stored.cloned().collect(), Arc::new(Notify::new()));
        let mut map = self.0.lock();
        for key in &keys {
            map.entry(Arc::clone(key)).or_default().push(Arc::clone(&notify));
        }
        drop(map);
        Watch { waiters: Arc::clone(self), keys, notify, told: false }
    }

    /// Wakes those who wait for a key.
    pub(super) fn wake(&self, stored: &[u8]) {
        if let Some(waiting) = self.0.lock().get(stored) {
            waiting.iter().for_each(|notify| notify.notify_one());
        }
    }

    /// Wakes everybody: something may have been missed.
    pub(super) fn wake_all(&self) {
        self.0.lock().values().flatten().for_each(|notify| notify.notify_one());
    }
}

impl Watch {
    /// Returns whether ends are told at all now.
    pub(crate) fn is_told(&self) -> bool {
        self.told
    }

    /// Forgets all keys but these.
    pub(crate) fn keep<'a>(&mut self, stored: impl Iterator<Item = &'a Arc<[u8]>>) {
        let kept: Vec<_> = stored.cloned().collect();
        let dropped: Vec<_> = self.keys.iter().filter(|key| !kept.contains(key)).cloned().collect();
        self.keys.retain(|key| kept.contains(key));
        self.forget(&dropped);
    }

    fn forget(&self, keys: &[Arc<[u8]>]) {
        let mut map = self.waiters.0.lock();
        for key in keys {
            let Some(waiting) = map.get_mut(key) else { continue };
            waiting.retain(|notify| !Arc::ptr_eq(notify, &self.notify));
            if waiting.is_empty() {
                map.remove(key);
            }
        }
    }

    /// Completes when a lease on one of the keys has ended since the watch began.
    pub(crate) async fn told(&self) {
        self.notify.notified().await;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.forget(&self.keys);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn whoever_waits_is_woken_and_leaves_nothing_behind() {
        let waiters = Arc::new(Waiters::default());
        let (a, b): (Arc<[u8]>, Arc<[u8]>) = ((*b"a").into(), (*b"b").into());
        let one = waiters.watch([&a, &b, &a].into_iter());
        let other = waiters.watch([&b].into_iter());
        waiters.wake(b"a");
        assert!(one.told().now_or_never().is_some(), "also if it was told before it waited");
        assert!(other.told().now_or_never().is_none());
        waiters.wake(b"b");
        assert!(other.told().now_or_never().is_some() && one.told().now_or_never().is_some());
        let mut third = waiters.watch([&a, &b].into_iter());
        third.keep([&b].into_iter());
        waiters.wake(b"a");
        assert!(third.told().now_or_never().is_none(), "no longer waited for");
        drop(third);
        waiters.wake_all();
        assert!(other.told().now_or_never().is_some());
        drop((one, other));
        assert!(waiters.0.lock().is_empty());
        waiters.wake(b"a");
    }
}
