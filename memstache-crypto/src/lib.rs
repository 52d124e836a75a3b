#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod backend;
mod derive;
mod envelope;
#[cfg(any(test, fuzzing, feature = "test-util"))]
#[doc(hidden)]
pub mod fuzzing;
mod key;
mod namer;
mod random;
mod seal;

#[cfg(any(test, feature = "test-util"))]
pub use self::random::SeededRandom;
pub use self::{
    backend::Backend,
    key::{DataKey, DataKeys, FixedKeys, KeyFailure, KeyId, KeyLookup, NameKey, Secret},
    namer::BlindNames,
    random::{Random, SystemRandom},
    seal::{Pending, Seal, SealBuilder, SealStats, Subkeys},
};
