//! Where a layer gets its keys.

use std::{fmt, sync::Arc, time::Duration};

use memstache_core::{BoxFuture, Space};

use super::{DataKey, KeyId, NameKey};

/// Gives out the keys of tenants and keyspaces.
///
/// It is asked on every read and write: what is at hand must be answered at once, from memory.
pub trait DataKeys: fmt::Debug + Send + Sync + 'static {
    /// Returns the key that new values of a space are sealed with.
    fn sealing(&self, space: &Space) -> KeyLookup;

    /// Returns the key of this id, if it may open values of the space.
    ///
    /// The id comes from the store and may be made up. A key of another tenant must not be given out.
    fn opening(&self, space: &Space, id: KeyId) -> KeyLookup;

    /// Returns the key of the space's names; `None` if it is not at hand. Never waits: names are made synchronously.
    ///
    /// The same for all keyspaces of a tenant, another for each tenant, and stable: with another key, every entry has
    /// another name.
    fn naming(&self, space: &Space) -> Option<Arc<NameKey>>;
}

impl<K: DataKeys + ?Sized> DataKeys for Arc<K> {
    fn sealing(&self, space: &Space) -> KeyLookup {
        K::sealing(self, space)
    }

    fn opening(&self, space: &Space, id: KeyId) -> KeyLookup {
        K::opening(self, space, id)
    }

    fn naming(&self, space: &Space) -> Option<Arc<NameKey>> {
        K::naming(self, space)
    }
}

/// What came of asking for a key.
#[non_exhaustive]
pub enum KeyLookup {
    /// The key.
    Ready(Arc<DataKey>),
    /// The key must be fetched first. Dropping the future must harm nobody else who waits for the same key.
    Wait(BoxFuture<'static, Result<Arc<DataKey>, KeyFailure>>),
    /// There is none.
    Failed(KeyFailure),
}

impl fmt::Debug for KeyLookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready(key) => f.debug_tuple("Ready").field(key).finish(),
            Self::Wait(_) => f.write_str("Wait"),
            Self::Failed(failure) => f.debug_tuple("Failed").field(failure).finish(),
        }
    }
}

/// Why there is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyFailure {
    /// No key of this id is known, or none of this space.
    Unknown,
    /// The key's time is over.
    Retired,
    /// The key was withdrawn.
    Revoked,
    /// The key could not be fetched.
    Unavailable {
        /// When it may be tried again, if that is known.
        retry_after: Option<Duration>,
    },
}

impl KeyFailure {
    /// Returns the failure's name in lower case, as metrics and traces show it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "key_unknown",
            Self::Retired => "key_retired",
            Self::Revoked => "key_revoked",
            Self::Unavailable { .. } => "key_unavailable",
        }
    }
}
