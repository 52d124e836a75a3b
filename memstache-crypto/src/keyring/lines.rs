//! The lines of tenants: read, checked, made, and kept up to date.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use memstache_core::{Error, ErrorKind, Expected, Record, RecordKey, Result, Tick};

use super::{
    Inner,
    branch::BranchKey,
    branches::{Branches, TRIES},
    line::{Fate, KeyState, Line, Version},
    owner::{KeyOwner, Purpose},
    record::{Authenticated, KeyRecord, damaged, with_macs},
    settings::{millis, to_millis},
    state::{LineKey, State},
    table::{Held, Reason, Table},
};
use crate::key::{DataKey, KeyId, NameKey, Secret};

/// A line as it is in the store, checked.
#[derive(Clone, Debug)]
pub(super) struct Image {
    pub(super) seq: u64,
    /// The store's sequence; `None` when there is no record.
    pub(super) stored: Option<u64>,
    /// The branch key that wraps it.
    pub(super) parent: KeyId,
    pub(super) line: Line,
}

impl Image {
    fn empty(seq: u64) -> Self {
        Self { seq, stored: None, parent: KeyId::from_bytes([0; KeyId::LEN]), line: Line::default() }
    }

    /// What is left of a record whose branch key is gone: its place, to begin anew. Nobody vouches for its sequence, which
    /// may only rise, and never far enough to end.
    fn orphaned(floor: u64, seq: u64, stored: u64) -> Self {
        Self { stored: Some(stored), ..Self::empty(floor.max(seq.min(u64::MAX >> 1))) }
    }

    pub(super) fn expected(&self) -> Expected {
        self.stored.map_or(Expected::Absent, Expected::Sequence)
    }
}

/// Finds the table of a kind of key.
pub(super) trait Kept: LineKey {
    fn table(inner: &Inner) -> &Table<Self>;
}

impl Kept for DataKey {
    fn table(inner: &Inner) -> &Table<Self> {
        &inner.data
    }
}

impl Kept for NameKey {
    fn table(inner: &Inner) -> &Table<Self> {
        &inner.names
    }
}

impl Inner {
    /// Reads a line again, once for all who ask at the same time, and does what the reason calls for.
    pub(super) async fn bring<K: Kept>(self: &Arc<Self>, owner: KeyOwner, reason: Reason) -> Result<Arc<Held<K>>> {
        let inner = Arc::clone(self);
        let key = (owner.clone(), reason);
        K::table(self).flights.run(key, move || async move { inner.read_and_keep::<K>(&owner, reason).await }).await?
    }

    /// The same, by a read that begins after the call: what is running may have read what was before.
    pub(super) async fn bring_anew<K: Kept>(self: &Arc<Self>, owner: KeyOwner, reason: Reason) -> Result<Arc<Held<K>>> {
        let running = K::table(self).flights.join(&(owner.clone(), reason));
        if let Some(running) = running {
            running.await.ok();
        }
        self.bring(owner, reason).await
    }

    async fn read_and_keep<K: Kept>(&self, owner: &KeyOwner, reason: Reason) -> Result<Arc<Held<K>>> {
        let place = self.settings.environment.line_key(K::PURPOSE, owner.borrowed());
        let change = |image: &mut Image, branches: &Branches| match reason {
            Reason::Open => Ok(false),
            Reason::Seal => self.ensure(&place, image, branches),
            Reason::Refresh => self.maintain(K::PURPOSE, &place, image, branches),
        };
        for _ in 0..TRIES {
            let drops = K::table(self).drops();
            let floor = K::table(self).with(owner.borrowed(), |held| held.state().seq).unwrap_or_default();
            let (image, branches) = self.change(K::PURPOSE, &place, floor, change).await?;
            // What was let go of meanwhile must not come back.
            if let Some(held) = self.keep::<K>(owner, place.clone(), image, &branches, drops)? {
                return Ok(held);
            }
        }
        Err(Error::new(ErrorKind::Conflict, "keys were let go of again and again"))
    }

    /// Reads a line, lets a change be made to it, and writes it if there was one; again if others were faster.
    ///
    /// Errors: [`Unavailable`](ErrorKind::Unavailable) without branch keys, [`Rejected`](ErrorKind::Rejected) for a record
    /// that nobody vouches for, [`Conflict`](ErrorKind::Conflict) when others are always faster, those of the store.
    pub(super) async fn change(
        &self,
        purpose: Purpose,
        place: &RecordKey,
        floor: u64,
        mut change: impl FnMut(&mut Image, &Branches) -> Result<bool>,
    ) -> Result<(Image, Arc<Branches>)> {
        for _ in 0..TRIES {
            // Without branch keys no record is of use. They are looked at again behind it: it may be under a new one.
            self.branches_soon().await?;
            let stored = self.records.get(place).await?;
            let branches = self.branches_at_hand()?;
            let mut image = match &stored {
                Some(record) => self.open_line(purpose, place, record, floor, &branches)?,
                None => Image::empty(floor),
            };
            if image.seq < floor {
                self.counters.refused();
                return Err(damaged("it is older than what was there before"));
            }
            let changed = change(&mut image, &branches)?;
            if stored.is_none() && (changed || floor > 0) {
                self.branch_stands(&branches, changed.then_some(image.parent)).await?;
            }
            if !changed {
                return Ok((image, branches));
            }
            match self.write_line(purpose, place, &mut image, &branches).await {
                Ok(()) => return Ok((image, branches)),
                // Whether it was written or not is read again.
                Err(error) if matches!(error.kind(), ErrorKind::Conflict | ErrorKind::Unknown) => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::new(ErrorKind::Conflict, "others changed the key record again and again"))
    }

    /// Waits for a tenant's own vault that is being asked for the first time. For the house's nobody waits.
    async fn branches_soon(&self) -> Result<Arc<Branches>> {
        if self.only.is_some() && self.branches.load().is_none() {
            let opening = self.branch_flights.join(&());
            if let Some(opening) = opening {
                opening.await.ok();
            }
        }
        self.branches_at_hand()
    }

    pub(super) fn branches_at_hand(&self) -> Result<Arc<Branches>> {
        let branches = self.branches.load_full();
        let good = branches.filter(|it| self.is_usable(it));
        good.ok_or_else(|| {
            self.nudge.notify_one();
            let pause = self.vault.pause_left().unwrap_or(Duration::from_secs(1));
            Error::new(ErrorKind::Unavailable, "the branch keys are not at hand").with_retry_after(pause)
        })
    }

    /// Checks a record: that it belongs here, and that a branch key vouches for it.
    fn open_line(
        &self,
        purpose: Purpose,
        place: &RecordKey,
        record: &Record,
        floor: u64,
        branches: &Branches,
    ) -> Result<Image> {
        let opened = self.authenticated(purpose, place, record, floor, branches);
        if opened.as_ref().is_err_and(|error| error.kind() == ErrorKind::Rejected) {
            self.counters.refused();
        }
        opened
    }

    fn authenticated(
        &self,
        purpose: Purpose,
        place: &RecordKey,
        record: &Record,
        floor: u64,
        branches: &Branches,
    ) -> Result<Image> {
        let Authenticated { record: image, body, macs } = KeyRecord::decode(&record.value)?;
        if image.purpose != purpose || image.tag != self.settings.environment.tag(place) {
            return Err(damaged("it belongs to another place"));
        }
        let Some(parent) = branches.get(image.parent) else {
            if self.has_ended(image.parent, branches) {
                self.counters.refused();
                return Ok(Image::orphaned(floor, image.seq, record.sequence));
            }
            // Made a moment ago, by a node that knows a newer branch: the background fetches it.
            self.nudge.notify_one();
            let error = Error::new(ErrorKind::Unavailable, "the branch key of a record is not at hand");
            return Err(error.with_retry_after(Duration::from_secs(1)));
        };
        match macs.as_slice() {
            [mac] if parent.verifies(&body, mac) => {}
            _ => return Err(damaged("its code does not match")),
        }
        Ok(Image { seq: image.seq, stored: Some(record.sequence), parent: image.parent, line: image.line })
    }

    /// Whether a branch key is one that there was: nobody has what it wrapped any more.
    fn has_ended(&self, branch: KeyId, branches: &Branches) -> bool {
        let state = branches.line.state(branch, to_millis(self.clock.wall()));
        matches!(state, Some(KeyState::Retired | KeyState::Revoked))
    }

    async fn write_line(
        &self,
        purpose: Purpose,
        place: &RecordKey,
        image: &mut Image,
        branches: &Branches,
    ) -> Result<()> {
        let parent = branches.get(image.parent).ok_or_else(no_branch)?;
        let seq = image.seq + 1;
        let tag = self.settings.environment.tag(place);
        let record = KeyRecord { purpose, seq, tag, parent: image.parent, line: image.line.clone() };
        let body = record.body()?;
        let value = with_macs(&body, &[parent.mac(&body)]);
        image.stored = Some(self.records.put(place, value, image.expected()).await?);
        image.seq = seq;
        Ok(())
    }

    /// Makes the keys of an image, and keeps them; `None` if lines were let go of since the image was read.
    ///
    /// Error: [`Unavailable`](ErrorKind::Unavailable) if all keys were dropped meanwhile.
    pub(super) fn keep<K: Kept>(
        &self,
        owner: &KeyOwner,
        place: RecordKey,
        image: Image,
        branches: &Branches,
        drops: u64,
    ) -> Result<Option<Arc<Held<K>>>> {
        let held = K::table(self).get(owner.borrowed());
        let tag = self.settings.environment.tag(&place);
        let mut keys = Vec::new();
        for version in image.line.live() {
            let known = held.as_ref().and_then(|held| held.state().key(version.id).cloned());
            let key = match known {
                Some(key) => key,
                None => {
                    let parent = branches.get(image.parent).ok_or_else(no_branch)?;
                    let secret = parent.unwrap(&tag, version).inspect_err(|_| self.counters.refused())?;
                    Arc::new(K::of(secret, self.only.is_some()))
                }
            };
            keys.push((version.id, key));
        }
        let now = self.clock.now();
        let good_until = self.good_until(now, branches);
        let state = State::new(image.seq, image.stored, image.line, keys, now, good_until, &*self.clock);
        let held = K::table(self).keep(owner, place, state, now, drops);
        if self.branches.load().is_none() {
            K::table(self).clear();
            return Err(no_branch());
        }
        Ok(held)
    }

    /// Until when keys may be used whose record was seen at a moment.
    fn good_until(&self, seen: Tick, branches: &Branches) -> Tick {
        seen.min(branches.good_from()).after(self.settings.usable())
    }

    /// Adds a key to a line that has none to seal with.
    pub(super) fn ensure(&self, place: &RecordKey, image: &mut Image, branches: &Branches) -> Result<bool> {
        // A line may have live versions and none to seal with, after a revocation.
        if image.line.active(to_millis(self.clock.wall())).is_some() {
            return Ok(false);
        }
        self.add(place, image, branches, Duration::ZERO)?;
        Ok(true)
    }

    /// Does what has come due: retires, rotates, moves to the active branch key.
    fn maintain(&self, purpose: Purpose, place: &RecordKey, image: &mut Image, branches: &Branches) -> Result<bool> {
        let now = to_millis(self.clock.wall());
        let mut changed = false;
        if let Some(retention) = self.settings.retention() {
            for id in image.line.due(now, retention) {
                changed |= image.line.retire(id, now);
            }
        }
        if purpose == Purpose::Data {
            let age = self.settings.derived_rotation.map(millis);
            let newest = image.line.newest().map(|version| version.created_at);
            if let (Some(age), Some(created_at)) = (age, newest)
                && created_at.saturating_add(age) <= now
            {
                match self.add(place, image, branches, self.settings.spread()) {
                    Ok(_) => changed = true,
                    // A line that is full of live versions goes on with its last one.
                    Err(error) => {
                        tracing::warn!(kind = error.kind().as_str(), "a key is due, but could not be rotated")
                    }
                }
            }
        }
        changed |= self.move_to_active_branch(place, image, branches)?;
        Ok(changed)
    }

    /// Wraps a line with the active branch key, if an older one does. Returns whether it did.
    ///
    /// Never back to an older one: by a clock that is behind, that may be active which others are about to retire.
    pub(super) fn move_to_active_branch(
        &self,
        place: &RecordKey,
        image: &mut Image,
        branches: &Branches,
    ) -> Result<bool> {
        let active = self.active_branch(branches)?;
        if image.line.versions().is_empty() || !branches.follows(active.id(), image.parent) {
            return Ok(false);
        }
        let old = branches.get(image.parent).ok_or_else(no_branch)?;
        let tag = self.settings.environment.tag(place);
        image.line.rewrap(|version| active.wrap(&tag, version, &old.unwrap(&tag, version)?, &*self.random))?;
        image.parent = active.id();
        Ok(true)
    }

    /// Adds a new version that becomes active after a while.
    pub(super) fn add(
        &self,
        place: &RecordKey,
        image: &mut Image,
        branches: &Branches,
        after: Duration,
    ) -> Result<KeyId> {
        if image.line.live().next().is_none() {
            image.parent = self.active_branch(branches)?.id();
        }
        let parent = branches.get(image.parent).ok_or_else(no_branch)?;
        let tag = self.settings.environment.tag(place);
        let now = to_millis(self.clock.wall());
        let secret = Secret::random(&*self.random)?;
        let mut version = Version {
            number: image.line.next_number(),
            id: KeyId::of(&secret),
            created_at: now,
            activate_at: now.saturating_add(millis(after)),
            fate: Fate::Live,
            wrapped: Bytes::new(),
        };
        version.wrapped = parent.wrap(&tag, &version, &secret, &*self.random)?;
        let id = version.id;
        image.line.add(version)?;
        Ok(id)
    }

    fn active_branch<'a>(&self, branches: &'a Branches) -> Result<&'a Arc<BranchKey>> {
        branches.active(to_millis(self.clock.wall())).ok_or_else(no_branch)
    }
}

pub(super) fn no_branch() -> Error {
    Error::new(ErrorKind::Unavailable, "the branch key is not at hand").with_retry_after(Duration::from_secs(1))
}
