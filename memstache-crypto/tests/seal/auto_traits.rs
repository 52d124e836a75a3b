//! What every public type can be used for.

use std::fmt::Debug;

use memstache_crypto::{
    Backend, BlindNames, DataKey, DataKeys, FixedKeys, KeyFailure, KeyId, KeyLookup, NameKey, Pending, Random, Seal,
    SealBuilder, SealStats, Secret, SeededRandom, Subkeys, SystemRandom,
};

fn shared<T: Send + Sync + Debug + ?Sized>() {}
fn sent<T: Send + Debug>() {}
fn cloned<T: Clone>() {}

#[test]
fn everything_is_debug_and_goes_between_threads() {
    shared::<(Backend, BlindNames, DataKey, FixedKeys, KeyFailure, KeyId, NameKey)>();
    shared::<(Pending, Seal, SealBuilder, SealStats, Secret, SeededRandom, Subkeys, SystemRandom)>();
    shared::<dyn DataKeys>();
    shared::<dyn Random>();
    // A future that is sent, and not shared.
    sent::<KeyLookup>();
    cloned::<(Backend, BlindNames, FixedKeys, KeyFailure, KeyId, Seal, SealStats, Secret, Subkeys, SystemRandom)>();
}
