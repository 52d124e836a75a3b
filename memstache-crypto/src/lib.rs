#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod backend;
#[cfg(feature = "config")]
mod config;
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
#[cfg(feature = "rsa")]
mod rsa;
mod seal;

#[cfg(feature = "config")]
pub use self::config::{CONFIG_EXAMPLE, register};
#[cfg(feature = "azure")]
pub use self::provider::{AzureAuth, AzureKeyVault, AzureKeyVaultBuilder, AzureKeys, AzureSecrets};
#[cfg(any(test, feature = "test-util"))]
pub use self::random::SeededRandom;
pub use self::{
    backend::Backend,
    key::{DataKey, DataKeys, FixedKeys, KeyFailure, KeyId, KeyLookup, NameKey, Secret},
    keyring::{
        BranchKeyInfo, Custody, DerivedKey, KeyClass, KeyManagement, KeyOwner, KeyState, Keyring, KeyringBuilder,
        KeyringStats, KeyringTask, MAX_KEY_LABEL, MasterKey, Shredder, TenantVaults,
    },
    namer::BlindNames,
    provider::{
        EnvironmentProvider, FileProvider, KeyProvider, MAX_PROVIDER_LABEL, MasterVersion, ProviderError,
        ProviderErrorKind, StaticProvider, WrappedKey,
    },
    random::{Random, SystemRandom},
    seal::{Pending, Seal, SealBuilder, SealStats, Subkeys},
};
#[cfg(feature = "rsa")]
pub use self::{
    provider::RsaProvider,
    rsa::{CryptoService, MAX_HYBRID_DATA, RsaPrivateKey, RsaPublicKey},
};

/// What lives where, what rotates, a runbook, and what happens when something is down.
#[doc = include_str!("../docs/rotation.md")]
pub mod rotation {}
