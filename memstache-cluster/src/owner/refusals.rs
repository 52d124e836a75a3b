//! Telling when a keyspace's limiter refuses, and when it does so no more.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{
            AtomicBool,
            Ordering::{Acquire, Release},
        },
    },
    time::Duration,
};

use memstache_core::{Clock, KeyspaceName, Tick};
use parking_lot::Mutex;

use crate::engine::{EngineEvent, EventBus};

/// For how long a limiter has refused nothing, before it is said that it does not refuse any more.
const QUIET: Duration = Duration::from_secs(1);

/// Whether a keyspace's source is refused to loads; it outlives the limiter, which is another one when settings change.
pub(super) struct Refusals {
    keyspace: KeyspaceName,
    events: Arc<EventBus>,
    clock: Arc<dyn Clock>,
    /// When it last refused, until it was said that it does so no more. Held while that is told: what is told last is so.
    last: Mutex<Option<Tick>>,
    /// Whether there is anything to look at.
    any: AtomicBool,
}

impl Refusals {
    pub(super) fn new(keyspace: KeyspaceName, events: Arc<EventBus>, clock: Arc<dyn Clock>) -> Self {
        Self { keyspace, events, clock, last: Mutex::default(), any: AtomicBool::new(false) }
    }

    /// Takes note that a load was refused.
    pub(super) fn refused(&self) {
        let mut last = self.last.lock();
        if last.replace(self.clock.now()).is_none() {
            self.any.store(true, Release);
            self.tell(true);
        }
    }

    /// Takes note that a load passed.
    pub(super) fn passed(&self) {
        if !self.any.load(Acquire) {
            return;
        }
        let mut last = self.last.lock();
        if last.take_if(|last| self.clock.now().since(*last) >= QUIET).is_some() {
            self.any.store(false, Release);
            self.tell(false);
        }
    }

    fn tell(&self, refuses: bool) {
        self.events.tell(&EngineEvent::SourceLimiter { keyspace: self.keyspace.clone(), refuses });
    }
}

impl fmt::Debug for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refusals").field("last", &self.last.lock()).finish_non_exhaustive()
    }
}
