//! Rotation of what is above the tenants' keys: master and branch.

use std::sync::atomic::Ordering;

use memstache_core::{Error, ErrorKind, Expected, RecordKey, Result, Tick};

use super::{
    Inner,
    branches::TRIES,
    handles::MasterKey,
    manage::{check_retirable, conflict, is_kind, wrapped},
    record::KeyRecord,
    settings::millis,
};
use crate::{
    key::KeyId,
    provider::{MasterVersion, ProviderErrorKind},
};

impl Inner {
    /// Once in a while: wraps with the master key that the vault now has, and makes a new one when it is old.
    pub(super) async fn maintain_master(&self) -> Result<()> {
        let now = self.clock.now();
        let last = Tick::from_millis(self.master_seen.load(Ordering::Relaxed));
        if now.since(last) < self.settings.max_age {
            return Ok(());
        }
        let current = self.vault.call(self.vault.provider.current()).await?;
        self.master_seen.store(now.as_millis(), Ordering::Relaxed);
        let age = self.settings.master_rotation.map(millis);
        let created_at = current.created_at().map(super::settings::to_millis);
        let old = age.zip(created_at).is_some_and(|(age, at)| at.saturating_add(age) <= self.wall());
        if old {
            match self.rotate_master(Some(current.version())).await {
                // An operator has to do it, or somebody just did.
                Err(error) if is_kind(&error, ProviderErrorKind::Unsupported) => {}
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                other => return other.map(drop),
            }
        }
        self.wrap_branches_with(&current).await
    }

    pub(super) async fn rotate_master(&self, version: Option<&str>) -> Result<MasterKey> {
        let vault = &self.vault;
        if let Some(version) = version {
            let current = vault.call(vault.provider.current()).await?;
            if current.version() != version {
                return Err(conflict("another master key is current"));
            }
        }
        let made = match vault.call(vault.provider.rotate()).await {
            // The operator made one: it is to be used.
            Err(error) if is_kind(&error, ProviderErrorKind::Unsupported) => {
                let current = vault.call(vault.provider.current()).await?;
                let branches = self.branches_at_hand()?;
                if wrapped(&branches.line).all(|wrapped| wrapped.version() == current.version()) {
                    return Err(error);
                }
                current
            }
            made => made?,
        };
        self.wrap_branches_with(&made).await?;
        Ok(MasterKey::new(vault.provider.id(), made, true))
    }

    /// Wraps all live branch keys with a version of the master key, those excepted that it wraps already.
    async fn wrap_branches_with(&self, master: &MasterVersion) -> Result<()> {
        for _ in 0..TRIES {
            self.look_at_branches().await?;
            let held = self.branches_at_hand()?;
            if wrapped(&held.line).all(|wrapped| wrapped.version() == master.version()) {
                return Ok(());
            }
            let mut fresh = Vec::new();
            for version in held.line.live() {
                let key = held.get(version.id).ok_or_else(super::lines::no_branch)?;
                fresh.push((version.id, self.wrap_branch(key, master, version).await?));
            }
            let mut line = held.line.clone();
            line.rewrap(|version| {
                let found = fresh.iter().find(|(id, _)| *id == version.id);
                Ok::<_, Error>(found.expect("every live version was wrapped").1.clone())
            })?;
            let expected = Expected::Sequence(held.stored);
            match self.write_branches(line, held.keys.clone(), held.seq, expected, held.unwrapped).await {
                Err(error) if is_lost(&error) => {}
                other => return other,
            }
        }
        Err(conflict("others changed the branch record again and again"))
    }

    /// Adds a branch key that becomes active once every node has it.
    pub(super) async fn rotate_branch(&self) -> Result<KeyId> {
        for _ in 0..TRIES {
            self.look_at_branches().await?;
            let held = self.branches_at_hand()?;
            let master = self.vault.call(self.vault.provider.current()).await?;
            let now = self.wall();
            let mut line = held.line.clone();
            let activate_at = now.saturating_add(millis(self.settings.spread()));
            let key = self.add_branch(&mut line, &master, now, activate_at).await?;
            let id = key.id();
            let keys = held.keys.iter().cloned().chain([key]).collect();
            let expected = Expected::Sequence(held.stored);
            match self.write_branches(line, keys, held.seq, expected, held.unwrapped).await {
                Ok(()) => return Ok(id),
                Err(error) if is_lost(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Err(conflict("others changed the branch record again and again"))
    }

    /// Moves every line to the active branch key. Returns how many moved.
    pub(super) async fn rewrap_all(&self) -> Result<usize> {
        let (mut moved, mut outcome) = (0, Ok(()));
        for place in self.places().await? {
            // All are tried: a damaged record must not keep the others under an old key.
            match self.rewrap_one(&place).await {
                Ok(done) => moved += usize::from(done),
                Err(error) => outcome = outcome.and(Err(error)),
            }
        }
        outcome.map(|()| moved)
    }

    async fn rewrap_one(&self, place: &RecordKey) -> Result<bool> {
        // What it is for stands in the record, and is believed once its code was checked.
        let Some(record) = self.records.get(place).await? else { return Ok(false) };
        let purpose = KeyRecord::decode(&record.value)?.record.purpose;
        let mut moved = false;
        let change = |image: &mut _, branches: &_| {
            moved = self.move_to_active_branch(place, image, branches)?;
            Ok(moved)
        };
        self.change(purpose, place, 0, change).await?;
        Ok(moved)
    }

    /// Where the lines of all tenants are.
    async fn places(&self) -> Result<Vec<RecordKey>> {
        let all = self.records.list(&self.settings.environment.tenants_prefix()).await?;
        Ok(all.into_iter().map(|(place, _)| place).collect())
    }

    pub(super) async fn retire_branch(&self, id: KeyId) -> Result<bool> {
        for _ in 0..TRIES {
            let held = self.branches_at_hand()?;
            check_retirable(&held.line, id, self.wall())?;
            let lines = self.records.list(&self.settings.environment.tenants_prefix()).await?;
            for (_, record) in lines {
                let image = KeyRecord::decode(&record.value)?.record;
                // Also a line whose versions all ended: its code is this key's.
                if image.parent == id {
                    return Err(conflict("the branch key wraps keys of tenants: rewrap first"));
                }
            }
            let mut line = held.line.clone();
            if !line.retire(id, self.wall()) {
                return Ok(false);
            }
            let keys = held.keys.iter().filter(|key| key.id() != id).cloned().collect();
            let expected = Expected::Sequence(held.stored);
            match self.write_branches(line, keys, held.seq, expected, held.unwrapped).await {
                Ok(()) => return Ok(true),
                Err(error) if is_lost(&error) => self.look_at_branches().await?,
                Err(error) => return Err(error),
            }
        }
        Err(conflict("others changed the branch record again and again"))
    }
}

/// Others were faster, or nobody knows: what is there now has to be read.
fn is_lost(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Conflict | ErrorKind::Unknown)
}
