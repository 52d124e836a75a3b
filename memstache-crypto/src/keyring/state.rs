//! What a node holds of one line: its versions, the keys made of them, and until when they may be used.

use std::{fmt, sync::Arc, time::Duration};

use memstache_core::{Clock, Tick};

use super::{
    line::{KeyState, Line},
    owner::Purpose,
    settings::to_millis,
};
use crate::key::{DataKey, KeyId, NameKey, Secret};

/// A key that a line holds.
pub(super) trait LineKey: fmt::Debug + Send + Sync + Sized + 'static {
    const PURPOSE: Purpose;

    /// Makes it of its secret; `brought`: under a vault that its tenant brings.
    fn of(secret: Secret, brought: bool) -> Self;
}

impl LineKey for DataKey {
    const PURPOSE: Purpose = Purpose::Data;

    fn of(secret: Secret, brought: bool) -> Self {
        Self::new(secret).committing(brought)
    }
}

impl LineKey for NameKey {
    const PURPOSE: Purpose = Purpose::Name;

    fn of(secret: Secret, _: bool) -> Self {
        Self::new(secret)
    }
}

/// One image of a line; replaced as a whole.
#[derive(Debug)]
pub(super) struct State<K> {
    /// The record's own sequence; the least that is accepted from now on.
    pub(super) seq: u64,
    /// The store's sequence of the record; `None` when there is no record.
    pub(super) stored: Option<u64>,
    pub(super) line: Line,
    /// One for each live version.
    pub(super) keys: Vec<(KeyId, Arc<K>)>,
    /// When the record was last seen to be this.
    pub(super) seen: Tick,
    /// From when on none of the keys may be used.
    good_until: Tick,
    active: Option<Arc<K>>,
    /// From when on the active key must be looked up again.
    judged_until: Tick,
}

impl<K> State<K> {
    pub(super) fn new(
        seq: u64,
        stored: Option<u64>,
        line: Line,
        keys: Vec<(KeyId, Arc<K>)>,
        seen: Tick,
        good_until: Tick,
        clock: &dyn Clock,
    ) -> Self {
        let (now, wall) = (clock.now(), to_millis(clock.wall()));
        let active = line.active(wall).map(|version| version.id);
        let active = active.and_then(|id| find(&keys, id)).cloned();
        let switch = line.next_switch(wall).map(|at| now.after(Duration::from_millis(at.saturating_sub(wall))));
        let judged_until = switch.unwrap_or(Tick::NEVER).min(good_until);
        Self { seq, stored, line, keys, seen, good_until, active, judged_until }
    }

    /// The same, seen again.
    pub(super) fn seen_again(&self, seen: Tick, good_until: Tick, clock: &dyn Clock) -> Self {
        Self::new(self.seq, self.stored, self.line.clone(), self.keys.clone(), seen, good_until, clock)
    }

    /// The same without its keys: they have to be read again. An older record is still refused.
    pub(super) fn emptied(&self, clock: &dyn Clock) -> Self {
        Self::new(self.seq, None, Line::default(), Vec::new(), self.seen, self.good_until, clock)
    }

    /// The same, looked at anew because time went on.
    pub(super) fn judged(&self, clock: &dyn Clock) -> Self {
        self.seen_again(self.seen, self.good_until, clock)
    }

    /// The key that seals. `None`: there is none, or time went on too far to say.
    pub(super) fn active(&self, now: Tick) -> Option<&Arc<K>> {
        self.active.as_ref().filter(|_| now < self.judged_until)
    }

    pub(super) fn is_good(&self, now: Tick) -> bool {
        now < self.good_until
    }

    pub(super) fn key(&self, id: KeyId) -> Option<&Arc<K>> {
        find(&self.keys, id)
    }

    pub(super) fn state_of(&self, id: KeyId, clock: &dyn Clock) -> Option<KeyState> {
        self.line.state(id, to_millis(clock.wall()))
    }
}

fn find<K>(keys: &[(KeyId, Arc<K>)], id: KeyId) -> Option<&Arc<K>> {
    keys.iter().find(|(other, _)| *other == id).map(|(_, key)| key)
}
