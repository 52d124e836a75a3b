#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[allow(dead_code, reason = "used by the layer that follows")]
mod backend;
mod derive;
#[allow(dead_code, unused_imports, reason = "used by the layer that follows")]
mod key;
mod keyring;
mod provider;
mod random;

#[cfg(any(test, feature = "test-util"))]
pub use self::random::SeededRandom;
pub use self::{
    backend::Backend,
    key::{DataKey, DataKeys, FixedKeys, KeyFailure, KeyId, KeyLookup, NameKey, Secret},
    keyring::{
        BranchKeyInfo, DerivedKey, KeyClass, KeyManagement, KeyOwner, KeyState, Keyring, KeyringBuilder, KeyringStats,
        KeyringTask, MAX_KEY_LABEL, MasterKey,
    },
    provider::{
        EnvironmentProvider, FileProvider, KeyProvider, MAX_PROVIDER_LABEL, MasterVersion, ProviderError,
        ProviderErrorKind, StaticProvider, WrappedKey,
    },
    random::{Random, SystemRandom},
};
