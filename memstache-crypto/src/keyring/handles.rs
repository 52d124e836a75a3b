//! What people see of keys: everything but their secrets.

use std::time::SystemTime;

use super::{
    line::{KeyState, Line, Millis, Version},
    owner::KeyOwner,
    settings::from_millis,
};
use crate::{key::KeyId, provider::MasterVersion};

/// A master key, as a handle: what it protects is unwrapped where it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MasterKey {
    provider: String,
    version: MasterVersion,
    current: bool,
}

impl MasterKey {
    pub(super) fn new(provider: &str, version: MasterVersion, current: bool) -> Self {
        Self { provider: provider.to_owned(), version, current }
    }

    /// Returns the name of its provider.
    pub fn provider(&self) -> &str {
        &self.provider
    }

    /// Returns which version it is: its id among those of its provider.
    pub fn version(&self) -> &str {
        self.version.version()
    }

    /// Returns when it was made, if the provider knows.
    pub fn created_at(&self) -> Option<SystemTime> {
        self.version.created_at()
    }

    /// Returns whether it is the version that wraps; the others only unwrap.
    pub fn is_current(&self) -> bool {
        self.current
    }
}

/// One version of a tenant's key, as a handle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DerivedKey {
    owner: KeyOwner,
    version: VersionInfo,
}

impl DerivedKey {
    /// Returns whom it belongs to.
    pub fn owner(&self) -> &KeyOwner {
        &self.owner
    }
}

/// One version of a branch key, as a handle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BranchKeyInfo {
    version: VersionInfo,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct VersionInfo {
    id: KeyId,
    number: u32,
    state: KeyState,
    created_at: Millis,
    activate_at: Millis,
}

macro_rules! version_info {
    ($($name:ident),*) => {$(
        impl $name {
            /// Returns its id, as envelopes and records name it.
            pub fn id(&self) -> KeyId {
                self.version.id
            }

            /// Returns its number; later versions have greater ones.
            pub fn number(&self) -> u32 {
                self.version.number
            }

            /// Returns its state, by the clock of the node that was asked.
            pub fn state(&self) -> KeyState {
                self.version.state
            }

            /// Returns when it was made.
            pub fn created_at(&self) -> SystemTime {
                from_millis(self.version.created_at)
            }

            /// Returns when it becomes active, or became so.
            pub fn activates_at(&self) -> SystemTime {
                from_millis(self.version.activate_at)
            }
        }
    )*};
}

version_info!(DerivedKey, BranchKeyInfo);

fn info(line: &Line, version: &Version, now: Millis) -> VersionInfo {
    let state = line.state(version.id, now).expect("a version of this line");
    let &Version { number, id, created_at, activate_at, .. } = version;
    VersionInfo { id, number, state, created_at, activate_at }
}

/// All versions of a tenant's key, the oldest first.
pub(super) fn derived(owner: &KeyOwner, line: &Line, now: Millis) -> Vec<DerivedKey> {
    let handle = |version| DerivedKey { owner: owner.clone(), version: info(line, version, now) };
    line.versions().iter().map(handle).collect()
}

/// All versions of the branch key, the oldest first.
pub(super) fn branches(line: &Line, now: Millis) -> Vec<BranchKeyInfo> {
    line.versions().iter().map(|version| BranchKeyInfo { version: info(line, version, now) }).collect()
}
