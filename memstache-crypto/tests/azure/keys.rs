//! RSA keys in the vault.

use std::time::UNIX_EPOCH;

use memstache_crypto::{
    KeyProvider as _, MasterVersion, ProviderErrorKind, WrappedKey,
    emulator::{Emulator, Operation},
};

use crate::kit::{emulator, key, kind, vault};

#[tokio::test]
async fn a_key_is_made_wraps_unwraps_and_rotates() {
    let emulator = emulator().await;
    let keys = vault(&emulator).keys("master").unwrap();
    assert_eq!(kind(keys.current().await), ProviderErrorKind::NotFound);
    let first = keys.rotate().await.unwrap();
    assert_eq!(keys.current().await.unwrap(), first);
    assert!(first.created_at().unwrap() > UNIX_EPOCH);
    let wrapped = keys.wrap(&first, &key(), b"").await.unwrap();
    assert_eq!((wrapped.bytes().len(), wrapped.version(), wrapped.provider()), (256, first.version(), keys.id()));

    let second = keys.rotate().await.unwrap();
    assert_ne!(first.version(), second.version());
    assert_eq!(keys.current().await.unwrap(), second);
    assert_eq!(keys.unwrap(&wrapped, b"").await.unwrap(), key(), "the old version unwraps");
    let newer = keys.wrap(&second, &key(), b"").await.unwrap();
    assert_eq!(keys.unwrap(&newer, b"").await.unwrap(), key());
    let again = keys.wrap(&first, &key(), b"").await.unwrap();
    assert_eq!(again.version(), first.version(), "it wraps with the version that is asked for");
    assert_eq!(emulator.calls().of(Operation::UnwrapKey), 2);
    assert_eq!(emulator.calls().of(Operation::CreateKey), 1);
}

#[tokio::test]
async fn what_the_key_did_not_wrap_is_invalid() {
    let emulator = emulator().await;
    let keys = vault(&emulator).keys("master").unwrap();
    let version = keys.rotate().await.unwrap();
    for bytes in [vec![0; 256], vec![0; 1], vec![0xff; 640]] {
        let foreign = WrappedKey::new(keys.id(), &version, bytes.into()).unwrap();
        assert_eq!(kind(keys.unwrap(&foreign, b"").await), ProviderErrorKind::Invalid);
    }
    let unknown = MasterVersion::new("0".repeat(32)).unwrap();
    assert_eq!(kind(keys.wrap(&unknown, &key(), b"").await), ProviderErrorKind::NotFound);
    let foreign = WrappedKey::new(keys.id(), &unknown, vec![0; 256].into()).unwrap();
    assert_eq!(kind(keys.unwrap(&foreign, b"").await), ProviderErrorKind::NotFound);
    // What is not a version must not become a path.
    let path = MasterVersion::new("../../secrets/other").unwrap();
    let foreign = WrappedKey::new(keys.id(), &path, vec![0; 256].into()).unwrap();
    assert_eq!(kind(keys.wrap(&path, &key(), b"").await), ProviderErrorKind::Invalid);
    assert_eq!(kind(keys.unwrap(&foreign, b"").await), ProviderErrorKind::Invalid);
    assert_eq!(emulator.calls().of(Operation::GetSecret), 0);
}

#[tokio::test]
async fn nothing_of_a_key_is_shown() {
    let emulator: Emulator = emulator().await;
    let keys = vault(&emulator).keys("very-hidden-name").unwrap();
    assert!(keys.id().is_ascii() && keys.id().len() <= 128);
    let shown = format!("{keys:?} {} {}", keys.id(), keys.current().await.unwrap_err());
    assert!(!shown.contains("very-hidden-name"), "{shown}");
    let same = vault(&emulator).keys("Very-Hidden-Name").unwrap();
    assert_eq!(same.id(), keys.id(), "names make no difference by case");
    assert_ne!(vault(&emulator).keys("other").unwrap().id(), keys.id());
    assert_ne!(vault(&emulator).secrets("very-hidden-name").unwrap().id(), keys.id());
}
