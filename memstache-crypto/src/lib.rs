#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod backend;
mod derive;
#[cfg(feature = "emulator")]
#[cfg_attr(docsrs, doc(cfg(feature = "emulator")))]
pub mod emulator;
mod envelope;
#[cfg(any(test, fuzzing, feature = "test-util"))]
#[doc(hidden)]
pub mod fuzzing;
mod key;
mod keyring;
mod namer;
mod provider;
mod random;
mod seal;

#[cfg(any(test, feature = "test-util"))]
pub use self::random::SeededRandom;
pub use self::{
    backend::Backend,
    key::{DataKey, DataKeys, FixedKeys, KeyFailure, KeyId, KeyLookup, NameKey, Secret},
    keyring::{
        BranchKeyInfo, DerivedKey, KeyClass, KeyManagement, KeyOwner, KeyState, Keyring, KeyringBuilder, KeyringStats,
        KeyringTask, MAX_KEY_LABEL, MasterKey,
    },
    namer::BlindNames,
    provider::{
        EnvironmentProvider, FileProvider, KeyProvider, MAX_PROVIDER_LABEL, MasterVersion, ProviderError,
        ProviderErrorKind, StaticProvider, WrappedKey,
    },
    random::{Random, SystemRandom},
    seal::{Pending, Seal, SealBuilder, SealStats, Subkeys},
};
