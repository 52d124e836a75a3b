//! Where a layer gets its keys.

use std::{fmt, sync::Arc, time::Duration};

use memstache_core::{BoxFuture, Space};

use super::{DataKey, KeyId, NameKey};

/// Gives out the keys of tenants and keyspaces.
///
/// It is asked on every read and write: what is at hand must be answered at once, from memory.
///
/// A source of your own, with one key that is fetched when it is first needed:
///
/// ```
/// use std::sync::{Arc, OnceLock};
/// use memstache_core::Space;
/// use memstache_crypto::{DataKey, DataKeys, KeyFailure, KeyId, KeyLookup, NameKey, Secret};
///
/// #[derive(Clone, Debug, Default)]
/// struct Fetched(Arc<OnceLock<Arc<DataKey>>>);
///
/// async fn fetch() -> Option<Secret> {
///     Some(Secret::from_bytes([7; 32])) // Yours comes from a vault.
/// }
///
/// impl DataKeys for Fetched {
///     fn sealing(&self, _: &Space) -> KeyLookup {
///         if let Some(key) = self.0.get() {
///             return KeyLookup::Ready(Arc::clone(key));
///         }
///         let held = Arc::clone(&self.0);
///         KeyLookup::Wait(Box::pin(async move {
///             let secret = fetch().await.ok_or(KeyFailure::Unavailable { retry_after: None })?;
///             Ok(Arc::clone(held.get_or_init(|| Arc::new(DataKey::new(secret)))))
///         }))
///     }
///
///     fn opening(&self, space: &Space, id: KeyId) -> KeyLookup {
///         match self.sealing(space) {
///             KeyLookup::Ready(key) if key.id() != id => KeyLookup::Failed(KeyFailure::Unknown),
///             lookup => lookup, // Of a key that had to be fetched, the layer checks the id.
///         }
///     }
///
///     fn naming(&self, _: &Space) -> Option<Arc<NameKey>> {
///         None // Names stay plain: do not use `BlindNames`.
///     }
/// }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> memstache_core::Result<()> {
/// # use memstache_core::{Cache, Json, MemoryStore, Stack};
/// # let seal = memstache_crypto::Seal::builder(Fetched::default()).build()?;
/// # let stack = Stack::over(MemoryStore::builder().build()?).seal(seal.clone()).build();
/// # let cache = Cache::builder(stack).keyspace("k").format(Json).build()?;
/// # cache.set("a", &1).await?;
/// # assert_eq!(cache.get::<u8>("a").await?, Some(1));
/// # assert_eq!(seal.stats().waited, 1);
/// # Ok(())
/// # }
/// ```
pub trait DataKeys: fmt::Debug + Send + Sync + 'static {
    /// Returns the key that new values of a space are sealed with.
    fn sealing(&self, space: &Space) -> KeyLookup;

    /// Returns the key of this id, if it may open values of the space.
    ///
    /// The id comes from the store and may be made up. A key of another tenant must not be given out.
    fn opening(&self, space: &Space, id: KeyId) -> KeyLookup;

    /// Lends the key that [`opening`](Self::opening) would give out for an id, or [`sealing`](Self::sealing) without one, if
    /// it is at hand; returns whether it did.
    ///
    /// Spares every call two changes of a reference count that all threads share. Default: it is not lent.
    fn lend(&self, space: &Space, id: Option<KeyId>, to: &mut dyn FnMut(&DataKey)) -> bool {
        let _ = (space, id, to);
        false
    }

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

    fn lend(&self, space: &Space, id: Option<KeyId>, to: &mut dyn FnMut(&DataKey)) -> bool {
        K::lend(self, space, id, to)
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
