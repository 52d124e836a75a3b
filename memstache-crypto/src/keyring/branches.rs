//! The branch keys of an environment: read, unwrapped by the vault, checked.

use std::{sync::Arc, time::Duration};

use bytes::{BufMut, Bytes};
use memstache_core::{Error, ErrorKind, Expected, Record, Result, Tick};

use super::{
    Inner,
    branch::BranchKey,
    line::{Fate, Line, Version},
    owner::Purpose,
    record::{Authenticated, KeyRecord, damaged, with_macs},
    settings::to_millis,
    vault::is_disabled,
};
use crate::{
    key::{KeyId, Secret},
    provider::{MasterVersion, WrappedKey},
};

/// Unwrapping again begins this long before the last refresh that would do: the grace period of the AWS Encryption SDK's
/// cache.
const GRACE: Duration = Duration::from_secs(10);

/// How often a change is tried that others get in the way of.
pub(super) const TRIES: usize = 16;

/// The branch keys that a node holds; replaced as a whole.
#[derive(Debug)]
pub(super) struct Branches {
    pub(super) seq: u64,
    /// The store's sequence of the record.
    pub(super) stored: u64,
    pub(super) line: Line,
    /// One for each live version, in their order.
    pub(super) keys: Vec<Arc<BranchKey>>,
    /// When the record was last seen to be this.
    pub(super) seen: Tick,
    /// When the vault last unwrapped the keys.
    pub(super) unwrapped: Tick,
}

impl Branches {
    pub(super) fn get(&self, id: KeyId) -> Option<&Arc<BranchKey>> {
        self.keys.iter().find(|key| key.id() == id)
    }

    pub(super) fn active(&self, now: u64) -> Option<&Arc<BranchKey>> {
        self.get(self.line.active(now)?.id)
    }

    /// Whether a version comes after another.
    pub(super) fn follows(&self, later: KeyId, earlier: KeyId) -> bool {
        let place = |id| self.line.versions().iter().position(|version| version.id == id);
        place(later) > place(earlier)
    }

    /// Until when what these keys protect may be used.
    pub(super) fn good_from(&self) -> Tick {
        self.unwrapped.min(self.seen)
    }

    fn macs(&self, body: &[u8]) -> Vec<[u8; 32]> {
        self.keys.iter().map(|key| key.mac(body)).collect()
    }
}

impl Inner {
    /// Reads the branch record again, and unwraps what is new or has not been unwrapped for long.
    pub(super) async fn refresh_branches(self: &Arc<Self>) -> Result<()> {
        let inner = Arc::clone(self);
        self.branch_flights.run((), move || async move { inner.look_at_branches().await }).await?
    }

    /// The same, by a read that begins after the call.
    pub(super) async fn refresh_branches_anew(self: &Arc<Self>) -> Result<()> {
        if let Some(running) = self.branch_flights.join(&()) {
            running.await.ok();
        }
        self.refresh_branches().await
    }

    /// Makes sure that the branch keys at hand are still those of the record store, before a record that is missing is
    /// taken for one that was removed: a store that lost everything takes no keys away, and gets none that only this node
    /// could unwrap. A line that is about to be written needs its own branch key there.
    pub(super) async fn branch_stands(&self, held: &Branches, parent: Option<KeyId>) -> Result<()> {
        let stands = match self.records.get(&self.settings.environment.branch_key()).await? {
            None => false,
            Some(record) if record.sequence == held.stored => true,
            Some(record) => {
                let image = KeyRecord::decode(&record.value)?.record;
                let counts = |id| parent.map_or_else(|| held.get(id).is_some(), |parent| parent == id);
                image.line.live().any(|version| counts(version.id))
            }
        };
        if stands {
            return Ok(());
        }
        self.nudge.notify_one();
        let error = Error::new(ErrorKind::Unavailable, "the branch record is gone, or holds another key");
        Err(error.with_retry_after(Duration::from_secs(1)))
    }

    /// The same, without joining others.
    pub(super) async fn look_at_branches(&self) -> Result<()> {
        self.register().await?;
        let place = self.settings.environment.branch_key();
        self.forget_expired_branches();
        let Some(record) = self.records.get(&place).await? else {
            return match &*self.branches.load() {
                Some(_) => Err(Error::new(ErrorKind::Rejected, "the branch record is gone")),
                None => self.make_first_branch().await,
            };
        };
        let held = self.branches.load_full();
        let now = self.clock.now();
        if let Some(held) = &held
            && held.stored == record.sequence
            && !self.is_due(held, now)
        {
            self.keep_branches(Branches { seen: now, ..held.same() });
            return Ok(());
        }
        let opened = self.open_branches(&record, held.as_deref(), now).await;
        if opened.as_ref().is_err_and(is_disabled) {
            self.drop_keys();
            tracing::error!("the master key was disabled: all keys were dropped");
        }
        self.keep_branches(opened?);
        Ok(())
    }

    /// Forgets branch keys that may not be used any more: a node without keys is one that starts. Else it would wait for
    /// ever for keys that it knew to vouch for a record that was made when they were long retired.
    fn forget_expired_branches(&self) {
        let held = self.branches.load_full();
        if held.as_ref().is_some_and(|held| !self.is_usable(held)) {
            self.branches.compare_and_swap(&held, None);
        }
    }

    pub(super) fn is_usable(&self, branches: &Branches) -> bool {
        self.clock.now() < branches.good_from().after(self.settings.usable())
    }

    /// Whether the vault has to unwrap again now, because the next refresh may be too late.
    fn is_due(&self, held: &Branches, now: Tick) -> bool {
        let early = self.settings.refresh + GRACE;
        now >= held.unwrapped.after(self.settings.max_age.saturating_sub(early))
    }

    /// Drops all keys.
    pub(super) fn drop_keys(&self) {
        self.branches.store(None);
        self.data.clear();
        self.names.clear();
    }

    pub(super) fn keep_branches(&self, new: Branches) {
        let new = Arc::new(new);
        self.branches.rcu(|held| match held {
            Some(held) if held.seq > new.seq => Some(Arc::clone(held)),
            _ => Some(Arc::clone(&new)),
        });
    }

    /// Unwraps and checks a branch record. The vault is asked for what is not held, or was unwrapped too long ago.
    async fn open_branches(&self, record: &Record, held: Option<&Branches>, now: Tick) -> Result<Branches> {
        let Authenticated { record: image, body, macs } = KeyRecord::decode(&record.value)?;
        let place = self.settings.environment.branch_key();
        let tag = self.settings.environment.tag(&place);
        if image.purpose != Purpose::Branch || image.tag != tag {
            return Err(damaged("it belongs to another place"));
        }
        if let Some(held) = held {
            if image.seq < held.seq {
                return Err(damaged("it is older than what was there before"));
            }
            // RSA wraps for everybody who has the public key: what a node knows must vouch for what is new.
            let vouches = |mac: &[u8; 32]| held.keys.iter().any(|key| key.verifies(&body, mac));
            if !macs.iter().any(vouches) {
                return Err(damaged("no key that was known before vouches for it"));
            }
        }
        let due = held.is_none_or(|held| self.is_due(held, now));
        let mut keys = Vec::new();
        for version in image.line.live() {
            let known = held.filter(|_| !due).and_then(|held| held.get(version.id));
            keys.push(match known {
                Some(key) => Arc::clone(key),
                None => self.unwrap_branch(&tag, version).await?,
            });
        }
        let good = keys.len() == macs.len() && keys.iter().zip(&macs).all(|(key, mac)| key.verifies(&body, mac));
        if !good || keys.is_empty() {
            return Err(damaged("a code does not match"));
        }
        if self.pin.is_some_and(|pin| keys.iter().all(|key| key.id() != pin)) {
            return Err(damaged("the pinned branch key is not in it"));
        }
        let unwrapped = if due { now } else { held.map_or(now, |held| held.unwrapped) };
        let stored = record.sequence;
        Ok(Branches { seq: image.seq, stored, line: image.line, keys, seen: now, unwrapped })
    }

    async fn unwrap_branch(&self, tag: &[u8; 16], version: &Version) -> Result<Arc<BranchKey>> {
        let wrapped =
            WrappedKey::decode(&version.wrapped).ok_or_else(|| damaged("a wrapped branch key is cut short"))?;
        if wrapped.provider() != self.vault.provider.id() {
            return Err(Error::new(ErrorKind::Rejected, "the branch key was wrapped by another key provider"));
        }
        let secret = self.vault.call(self.vault.provider.unwrap(&wrapped, &aad(tag, version))).await?;
        if KeyId::of(&secret) != version.id {
            return Err(damaged("a wrapped key is another than its id says"));
        }
        Ok(Arc::new(BranchKey::new(secret)))
    }

    /// Makes the first branch key of the environment; of several nodes that do so at once, one succeeds and all use its.
    ///
    /// Error: [`Rejected`](ErrorKind::Rejected) where tenants have keys already: they are under one that was lost.
    async fn make_first_branch(&self) -> Result<()> {
        if !self.records.list(&self.settings.environment.tenants_prefix()).await?.is_empty() {
            // Unless another node made it and them since it was looked for.
            let record = self.records.get(&self.settings.environment.branch_key()).await?;
            let lost = "the branch record is gone, but keys of tenants are there: restore it, or remove them";
            let record = record.ok_or_else(|| Error::new(ErrorKind::Rejected, lost))?;
            self.keep_branches(self.open_branches(&record, None, self.clock.now()).await?);
            return Ok(());
        }
        let master = self.vault.call(self.vault.provider.current()).await?;
        let now = to_millis(self.clock.wall());
        let mut line = Line::default();
        let key = self.add_branch(&mut line, &master, now, now).await?;
        match self.write_branches(line, vec![key], 0, Expected::Absent, self.clock.now()).await {
            Err(error) if error.kind() == ErrorKind::Conflict => {
                // Another node was faster.
                let place = self.settings.environment.branch_key();
                let record = self.records.get(&place).await?;
                let record =
                    record.ok_or_else(|| Error::new(ErrorKind::Conflict, "the branch record came and went"))?;
                let opened = self.open_branches(&record, None, self.clock.now()).await?;
                self.keep_branches(opened);
                Ok(())
            }
            other => other,
        }
    }

    /// Adds a new version to a line, wrapped by the vault.
    pub(super) async fn add_branch(
        &self,
        line: &mut Line,
        master: &MasterVersion,
        now: u64,
        activate_at: u64,
    ) -> Result<Arc<BranchKey>> {
        let key = BranchKey::new(Secret::random(&*self.random)?);
        let mut version = Version {
            number: line.next_number(),
            id: key.id(),
            created_at: now,
            activate_at,
            fate: Fate::Live,
            wrapped: Bytes::new(),
        };
        version.wrapped = self.wrap_branch(&key, master, &version).await?;
        line.add(version)?;
        Ok(Arc::new(key))
    }

    /// Wraps a branch key, and unwraps it to see that it can be had again: what a vault got wrong would be noticed when
    /// all nodes have started anew, and be lost.
    pub(super) async fn wrap_branch(
        &self,
        key: &BranchKey,
        master: &MasterVersion,
        version: &Version,
    ) -> Result<Bytes> {
        let place = self.settings.environment.branch_key();
        let tag = self.settings.environment.tag(&place);
        let aad = aad(&tag, version);
        let wrapped = self.vault.call(self.vault.provider.wrap(master, key.secret(), &aad)).await?.encode();
        self.unwrap_branch(&tag, &Version { wrapped: wrapped.clone(), ..version.clone() }).await?;
        Ok(wrapped)
    }

    /// Writes the record of a line whose live keys are these, and keeps them.
    pub(super) async fn write_branches(
        &self,
        line: Line,
        keys: Vec<Arc<BranchKey>>,
        seq: u64,
        expected: Expected,
        unwrapped: Tick,
    ) -> Result<()> {
        let place = self.settings.environment.branch_key();
        let tag = self.settings.environment.tag(&place);
        let parent = KeyId::from_bytes([0; KeyId::LEN]);
        let image = KeyRecord { purpose: Purpose::Branch, seq: seq + 1, tag, parent, line };
        let body = image.body()?;
        let seen = self.clock.now();
        let mut branches = Branches { seq: image.seq, stored: 0, line: image.line, keys, seen, unwrapped };
        let value = with_macs(&body, &branches.macs(&body));
        branches.stored = self.records.put(&place, value, expected).await?;
        self.keep_branches(branches);
        Ok(())
    }
}

impl Branches {
    pub(super) fn same(&self) -> Self {
        let Self { seq, stored, line, keys, seen, unwrapped } = self;
        Self { seq: *seq, stored: *stored, line: line.clone(), keys: keys.clone(), seen: *seen, unwrapped: *unwrapped }
    }
}

/// Binds a branch key to its place and to all of its fields that never change.
fn aad(tag: &[u8; 16], version: &Version) -> Vec<u8> {
    let mut out = b"mst1/branch-aad".to_vec();
    out.put_slice(tag);
    out.put_u32(version.number);
    out.put_slice(version.id.as_bytes());
    out.put_u64(version.created_at);
    out
}
