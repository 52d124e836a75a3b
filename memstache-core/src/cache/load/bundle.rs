//! Leases that are given back, those of a batch together.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;

use super::{
    super::core::Core,
    flight::{renew, touch},
    releases,
};
use crate::{
    address::Address,
    request::{Lease, TouchKind},
    util::until,
};

/// Leases whose pauses end within so long of each other are given back together.
const TOGETHER: Duration = Duration::from_millis(50);
/// Most leases that one call gives back.
const AT_ONCE: usize = 256;

/// Leases that are given back together, each after a pause, once the last claim that shares the bundle is gone: in one
/// task, by few store calls.
pub(super) struct Bundle {
    core: Arc<Core>,
    leases: Mutex<Vec<Paused>>,
}

/// A lease, and for how long it is to be kept before it is given back.
type Paused = (Duration, (Address, Lease));

impl Bundle {
    pub(super) fn new(core: &Arc<Core>) -> Arc<Self> {
        Arc::new(Self { core: Arc::clone(core), leases: Mutex::default() })
    }

    pub(super) fn add(&self, pause: Duration, lease: (Address, Lease)) {
        self.leases.lock().push((pause, lease));
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        let leases = std::mem::take(self.leases.get_mut());
        // Without a runtime they age out.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if !leases.is_empty() {
            let core = Arc::clone(&self.core);
            runtime.spawn(async move { give_back_all(&core, leases).await });
        }
    }
}

/// Gives leases back, each when its pause ends; those that still pause are renewed.
async fn give_back_all(core: &Arc<Core>, mut leases: Vec<Paused>) {
    leases.sort_by_key(|(pause, _)| *pause);
    let start = core.clock.now();
    while let Some((pause, _)) = leases.first() {
        let pause = *pause;
        if !pause.is_zero() {
            let held: Vec<_> = leases.iter().map(|(_, lease)| lease.clone()).collect();
            until(&core.clock, Some(start.after(pause)), renew(core, &held)).await;
        }
        let due = leases.partition_point(|(other, _)| *other <= pause.saturating_add(TOGETHER)).min(AT_ONCE);
        give_back(core, leases.drain(..due).map(|(_, lease)| lease).collect()).await;
    }
}

/// Gives leases back, within the store's time. Where that fails it is tried again, until they age out.
pub(super) async fn give_back(core: &Arc<Core>, leases: Vec<(Address, Lease)>) {
    // What ends this before it is done is one more way in which a release does not get through.
    let mut owed = Owed { core: Arc::clone(core), leases };
    let releases = owed.leases.iter().map(|(address, lease)| (address.clone(), TouchKind::Release(lease.id)));
    let mut done = touch(core, releases).await.into_iter();
    owed.leases.retain(|_| !done.next().unwrap_or(false));
}

/// Leases that are to be given back; dropped, they are released later.
struct Owed {
    core: Arc<Core>,
    leases: Vec<(Address, Lease)>,
}

impl Drop for Owed {
    fn drop(&mut self) {
        let leases = std::mem::take(&mut self.leases);
        releases::later(&self.core, leases.into_iter().map(|(address, lease)| (address, lease.id, lease.ttl)));
    }
}
