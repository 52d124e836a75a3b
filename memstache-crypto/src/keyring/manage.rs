//! What an operator does with keys.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use memstache_core::{Error, ErrorKind, Result, TenantId};

use super::{
    Inner, Keyring,
    branches::Branches,
    handles::{self, BranchKeyInfo, DerivedKey, MasterKey},
    line::{KeyState, Line},
    lines::{Image, Kept},
    owner::{KeyOwner, OwnerRef},
    settings::to_millis,
    state::LineKey as _,
};
use crate::{
    key::{DataKey, KeyId, NameKey},
    provider::{ProviderError, ProviderErrorKind, WrappedKey},
};

/// Making, reading, rotating and ending keys, by hand.
///
/// Every change is a compare-and-set on the record store, so that it does not matter on which node, or on how many, it is
/// asked for. Others learn of it by their next refresh, or at once if they run [`Keyring::run`] and the store tells
/// them.
///
/// Keys of owners are looked for where they are kept: below the tenant's own vault, if it brings one. Master and branch
/// keys are this keyring's own; those of a tenant's vault are managed by the keyring that [`Keyring::of`] returns.
///
/// Errors of all: [`Unavailable`](ErrorKind::Unavailable) when the record store, the provider or the branch keys are not
/// there; [`Conflict`](ErrorKind::Conflict) when others changed the same key all the time;
/// [`Rejected`](ErrorKind::Rejected) for a record that nobody vouches for.
///
/// # Cancellation
/// A future that is dropped leaves a change made or not made, never half of it; rotating a master key leaves a new version
/// that may not be in use yet, and rotating again, or a refresh, takes it into use.
///
/// ```
/// use std::sync::Arc;
/// use memstache_core::{MemoryRecords, TenantId};
/// use memstache_crypto::{KeyManagement, KeyOwner, KeyState, Keyring, Secret, StaticProvider, SystemRandom};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let provider = StaticProvider::dangerous_from_secrets([Secret::random(&SystemRandom::new())?])?;
/// let keyring = Keyring::builder("prod", Arc::new(MemoryRecords::new()), Arc::new(provider)).open().await?;
/// let acme = KeyOwner::tenant(TenantId::new("acme")?);
///
/// let first = keyring.generate_derived_key(&acme, None).await?;
/// assert_eq!(first.state(), KeyState::Active);
/// let next = keyring.rotate_derived(&acme).await?;
/// assert_eq!(next.state(), KeyState::PreActive); // until every node knows it
/// keyring.rotate_master_key(None).await?;
/// assert_eq!(keyring.get_derived_key(&acme, None).await?.id(), first.id()); // nothing is lost
/// # Ok(())
/// # }
/// ```
#[async_trait]
pub trait KeyManagement: fmt::Debug + Send + Sync {
    /// Makes the first master key, and the first branch key under it.
    ///
    /// A keyring does not open without a master key unless it is told to
    /// ([`with_keys_at_start`](super::KeyringBuilder::with_keys_at_start)); or make it by
    /// [`KeyProvider::rotate`](crate::KeyProvider::rotate) before.
    ///
    /// Errors: [`Conflict`](ErrorKind::Conflict) when there is one, [`Unsupported`](ErrorKind::Unsupported) where the
    /// provider cannot.
    async fn generate_master_key(&self) -> Result<MasterKey>;

    /// Makes the first derived key of an owner; `master` says under which version of the master key it must be.
    ///
    /// Errors: [`Conflict`](ErrorKind::Conflict) when there is one that seals, [`NotFound`](ErrorKind::NotFound) when
    /// branch keys are under another master key.
    async fn generate_derived_key(&self, owner: &KeyOwner, master: Option<&str>) -> Result<DerivedKey>;

    /// Returns a version of the master key, by default the one that wraps.
    ///
    /// Error: [`NotFound`](ErrorKind::NotFound) for one that neither wraps nor is still needed to unwrap.
    async fn get_master_key(&self, version: Option<&str>) -> Result<MasterKey>;

    /// Returns a version of an owner's key, by default the one that seals. It makes none.
    ///
    /// Error: [`NotFound`](ErrorKind::NotFound).
    async fn get_derived_key(&self, owner: &KeyOwner, id: Option<KeyId>) -> Result<DerivedKey>;

    /// Makes a new version of the master key, and wraps the branch keys with it: two calls for each, one to wrap and one
    /// to see that it unwraps. No tenant's key and no value changes. The old version is not needed afterwards, except for backups of the records.
    ///
    /// `version` says which one is to be replaced: [`Conflict`](ErrorKind::Conflict) when another one is current.
    /// [`Unsupported`](ErrorKind::Unsupported) where the provider cannot make one; after the operator did, this wraps with
    /// it.
    async fn rotate_master_key(&self, version: Option<&str>) -> Result<MasterKey>;

    /// Makes a new version of an owner's key, which becomes active after two refresh intervals.
    ///
    /// Errors: [`NotFound`](ErrorKind::NotFound) without a first one, [`Overloaded`](ErrorKind::Overloaded) when the owner
    /// has 64 versions.
    async fn rotate_derived(&self, owner: &KeyOwner) -> Result<DerivedKey>;

    /// Makes a new key for a tenant's blind names (`None`: of the shared space), which becomes active after two refresh
    /// intervals: then all of its entries have other names, and are missed once.
    ///
    /// Errors: as of [`rotate_derived`](Self::rotate_derived).
    async fn rotate_names(&self, tenant: Option<&TenantId>) -> Result<KeyId>;

    /// Makes a new branch key, which becomes active after two refresh intervals. Keys of tenants move to it as nodes
    /// refresh them; [`rewrap`](Self::rewrap) moves all.
    async fn rotate_branch(&self) -> Result<BranchKeyInfo>;

    /// Moves the keys of all tenants to the active branch key, whether this node holds them or not. Returns how many
    /// moved. All are tried; the first error is returned.
    async fn rewrap(&self) -> Result<usize>;

    /// Ends a version of an owner's key at once: what it sealed does not open any more. If it was the one that seals, a new
    /// one does from now on. Returns whether there was one to end.
    async fn revoke(&self, owner: &KeyOwner, id: KeyId) -> Result<bool>;

    /// Ends a version that does not seal any more; what it sealed and is still alive is missed. Returns whether there was
    /// one to end.
    ///
    /// Error: [`Conflict`](ErrorKind::Conflict) for one that is active, or will be.
    async fn retire(&self, owner: &KeyOwner, id: KeyId) -> Result<bool>;

    /// Ends a version of the branch key. Returns whether there was one to end.
    ///
    /// Error: [`Conflict`](ErrorKind::Conflict) for one that is active, will be, or wraps a key: rewrap first.
    async fn retire_branch(&self, id: KeyId) -> Result<bool>;

    /// Returns all versions of an owner's key, the oldest first, those included that ended.
    async fn status(&self, owner: &KeyOwner) -> Result<Vec<DerivedKey>>;

    /// Returns all versions of the branch key, the oldest first, those included that ended.
    async fn branch_status(&self) -> Result<Vec<BranchKeyInfo>>;
}

#[async_trait]
impl KeyManagement for Keyring {
    async fn generate_master_key(&self) -> Result<MasterKey> {
        let vault = &self.0.vault;
        vault.end_pause();
        match vault.call(vault.provider.current()).await {
            Ok(_) => return Err(conflict("there is a master key: rotate it")),
            Err(error) if is_kind(&error, ProviderErrorKind::NotFound) => vault.end_pause(),
            Err(error) => return Err(error),
        }
        let made = vault.call(vault.provider.rotate()).await?;
        self.0.refresh_branches().await?;
        Ok(MasterKey::new(vault.provider.id(), made, true))
    }

    async fn generate_derived_key(&self, owner: &KeyOwner, master: Option<&str>) -> Result<DerivedKey> {
        let inner = self.0.keeper_of(owner).await?;
        let place = inner.settings.environment.line_key(DataKey::PURPOSE, owner.borrowed());
        let image = inner.edit::<DataKey>(owner, |image, branches| {
            if image.line.active(inner.wall()).is_some() {
                return Err(conflict("there is a derived key: rotate it"));
            }
            if master.is_some_and(|version| !inner.is_under(branches, version)) {
                return Err(not_found("the branch key is under another master key"));
            }
            inner.ensure(&place, image, branches)
        });
        let line = image.await?.line;
        inner.active_handle(owner, &line)
    }

    async fn get_master_key(&self, version: Option<&str>) -> Result<MasterKey> {
        let vault = &self.0.vault;
        vault.end_pause();
        let current = vault.call(vault.provider.current()).await?;
        match version {
            Some(version) if current.version() != version => {
                let branches = self.0.branches_at_hand()?;
                let used = wrapped(&branches.line).find(|wrapped| wrapped.version() == version);
                let used = used.ok_or_else(|| not_found("there is no such version of the master key in use"))?;
                Ok(MasterKey::new(vault.provider.id(), used.master()?, false))
            }
            _ => Ok(MasterKey::new(vault.provider.id(), current, true)),
        }
    }

    async fn get_derived_key(&self, owner: &KeyOwner, id: Option<KeyId>) -> Result<DerivedKey> {
        let inner = self.0.keeper_of(owner).await?;
        let line = inner.read::<DataKey>(owner).await?.line;
        let Some(id) = id else { return inner.active_handle(owner, &line) };
        let found = handles::derived(owner, &line, inner.wall()).into_iter().find(|key| key.id() == id);
        found.ok_or_else(|| not_found("the owner has no key of this id"))
    }

    async fn rotate_master_key(&self, version: Option<&str>) -> Result<MasterKey> {
        self.0.vault.end_pause();
        self.0.rotate_master(version).await
    }

    async fn rotate_derived(&self, owner: &KeyOwner) -> Result<DerivedKey> {
        let inner = self.0.keeper_of(owner).await?;
        let (line, id) = inner.rotate::<DataKey>(owner).await?;
        let made = handles::derived(owner, &line, inner.wall()).into_iter().find(|key| key.id() == id);
        made.ok_or_else(|| not_found("the new key was removed at once"))
    }

    async fn rotate_names(&self, tenant: Option<&TenantId>) -> Result<KeyId> {
        let owner = OwnerRef::of_names(tenant.map(TenantId::as_str)).to_owner();
        Ok(self.0.keeper_of(&owner).await?.rotate::<NameKey>(&owner).await?.1)
    }

    async fn rotate_branch(&self) -> Result<BranchKeyInfo> {
        self.0.vault.end_pause();
        let id = self.0.rotate_branch().await?;
        let made = self.branch_status().await?.into_iter().find(|branch| branch.id() == id);
        made.ok_or_else(|| not_found("the new branch key was removed at once"))
    }

    async fn rewrap(&self) -> Result<usize> {
        self.0.refresh_branches().await?;
        self.0.rewrap_all().await
    }

    async fn revoke(&self, owner: &KeyOwner, id: KeyId) -> Result<bool> {
        let inner = self.0.keeper_of(owner).await?;
        let place = inner.settings.environment.line_key(DataKey::PURPOSE, owner.borrowed());
        let mut ended = false;
        let edit = inner.edit::<DataKey>(owner, |image, branches| {
            ended = image.line.revoke(id, inner.wall());
            if ended {
                inner.ensure(&place, image, branches)?;
            }
            Ok(ended)
        });
        edit.await?;
        Ok(ended)
    }

    async fn retire(&self, owner: &KeyOwner, id: KeyId) -> Result<bool> {
        let inner = self.0.keeper_of(owner).await?;
        let mut ended = false;
        let edit = inner.edit::<DataKey>(owner, |image, _| {
            check_retirable(&image.line, id, inner.wall())?;
            ended = image.line.retire(id, inner.wall());
            Ok(ended)
        });
        edit.await?;
        Ok(ended)
    }

    async fn retire_branch(&self, id: KeyId) -> Result<bool> {
        self.0.refresh_branches().await?;
        self.0.retire_branch(id).await
    }

    async fn status(&self, owner: &KeyOwner) -> Result<Vec<DerivedKey>> {
        let inner = self.0.keeper_of(owner).await?;
        let line = inner.read::<DataKey>(owner).await?.line;
        Ok(handles::derived(owner, &line, inner.wall()))
    }

    async fn branch_status(&self) -> Result<Vec<BranchKeyInfo>> {
        self.0.refresh_branches().await?;
        Ok(handles::branches(&self.0.branches_at_hand()?.line, self.0.wall()))
    }
}

impl Inner {
    pub(super) fn wall(&self) -> u64 {
        to_millis(self.clock.wall())
    }

    /// Changes a line and keeps what came of it.
    async fn edit<K: Kept>(
        &self,
        owner: &KeyOwner,
        change: impl FnMut(&mut Image, &Branches) -> Result<bool> + Send,
    ) -> Result<Image> {
        let place = self.settings.environment.line_key(K::PURPOSE, owner.borrowed());
        let drops = K::table(self).drops();
        let floor = K::table(self).with(owner.borrowed(), |held| held.state().seq).unwrap_or_default();
        let (image, branches) = self.change(K::PURPOSE, &place, floor, change).await?;
        // If it is not kept, the next who needs it reads it.
        self.keep::<K>(owner, place, image.clone(), &branches, drops)?;
        Ok(image)
    }

    async fn read<K: Kept>(&self, owner: &KeyOwner) -> Result<Image> {
        self.edit::<K>(owner, |_, _| Ok(false)).await
    }

    async fn rotate<K: Kept>(&self, owner: &KeyOwner) -> Result<(Line, KeyId)> {
        let place = self.settings.environment.line_key(K::PURPOSE, owner.borrowed());
        let mut made = None;
        let image = self.edit::<K>(owner, |image, branches| {
            // A line without a key to seal with has no nodes to wait for.
            let spread = if image.line.active(self.wall()).is_some() { self.settings.spread() } else { Duration::ZERO };
            if image.line.versions().is_empty() {
                return Err(not_found("the owner has no key yet"));
            }
            self.move_to_active_branch(&place, image, branches)?;
            made = Some(self.add(&place, image, branches, spread)?);
            Ok(true)
        });
        let line = image.await?.line;
        Ok((line, made.expect("an edit that succeeds has made one")))
    }

    fn active_handle(&self, owner: &KeyOwner, line: &Line) -> Result<DerivedKey> {
        let handles = handles::derived(owner, line, self.wall());
        let active = handles.into_iter().find(|key| key.state() == KeyState::Active);
        active.ok_or_else(|| not_found("the owner has no key that seals"))
    }

    fn is_under(&self, branches: &Branches, version: &str) -> bool {
        let active = branches.line.active(self.wall()).and_then(|active| WrappedKey::decode(&active.wrapped));
        active.is_some_and(|wrapped| wrapped.version() == version)
    }
}

/// What is active or will be cannot be retired: its entries are being written.
pub(super) fn check_retirable(line: &Line, id: KeyId, now: u64) -> Result<()> {
    match line.state(id, now) {
        Some(KeyState::Active) => Err(conflict("the key is active: rotate it first, or revoke it")),
        Some(KeyState::PreActive) => Err(conflict("the key is about to become active: revoke it, if it must not")),
        _ => Ok(()),
    }
}

/// The live versions of a branch as their master keys wrapped them.
pub(super) fn wrapped(line: &Line) -> impl Iterator<Item = WrappedKey> {
    line.live().filter_map(|version| WrappedKey::decode(&version.wrapped))
}

pub(super) fn is_kind(error: &Error, kind: ProviderErrorKind) -> bool {
    error.find_source::<ProviderError>().is_some_and(|error| error.kind() == kind)
}

pub(super) fn conflict(detail: &'static str) -> Error {
    Error::new(ErrorKind::Conflict, detail)
}

fn not_found(detail: &'static str) -> Error {
    Error::new(ErrorKind::NotFound, detail)
}
