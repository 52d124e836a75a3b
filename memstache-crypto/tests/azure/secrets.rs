//! Secrets in the vault.

use memstache_crypto::{KeyProvider as _, MasterVersion, ProviderErrorKind, WrappedKey};

use crate::kit::{emulator, key, kind, send, vault};

#[tokio::test]
async fn a_secret_is_made_wraps_unwraps_and_rotates() {
    let emulator = emulator().await;
    let secrets = vault(&emulator).secrets("master").unwrap();
    assert_eq!(kind(secrets.current().await), ProviderErrorKind::NotFound);
    let first = secrets.rotate().await.unwrap();
    assert_eq!(secrets.current().await.unwrap(), first);
    let wrapped = secrets.wrap(&first, &key(), b"for").await.unwrap();
    let second = secrets.rotate().await.unwrap();
    assert_eq!(secrets.current().await.unwrap(), second);
    assert_eq!(secrets.unwrap(&wrapped, b"for").await.unwrap(), key(), "the old version unwraps");
    assert_eq!(kind(secrets.unwrap(&wrapped, b"other").await), ProviderErrorKind::Invalid, "what it is for is bound");
    let mut damaged = wrapped.bytes().to_vec();
    damaged[20] ^= 1;
    for bytes in [damaged, vec![0; 60], vec![0; 5], vec![0; 61]] {
        let foreign = WrappedKey::new(secrets.id(), &first, bytes.into()).unwrap();
        assert_eq!(kind(secrets.unwrap(&foreign, b"for").await), ProviderErrorKind::Invalid);
    }
    // What is not a version must not become a path.
    let path = MasterVersion::new("../other").unwrap();
    assert_eq!(kind(secrets.wrap(&path, &key(), b"for").await), ProviderErrorKind::Invalid);
    let swapped = WrappedKey::new(secrets.id(), &second, wrapped.bytes().to_vec().into()).unwrap();
    assert_eq!(kind(secrets.unwrap(&swapped, b"for").await), ProviderErrorKind::Invalid);
}

#[tokio::test]
async fn a_secret_that_is_no_key_is_invalid() {
    let emulator = emulator().await;
    let secrets = vault(&emulator).secrets("master").unwrap();
    for value in ["not base64", "AAAA", ""] {
        send(&emulator, "PUT", "/secrets/master", &format!(r#"{{"value":"{value}"}}"#)).await;
        let version = secrets.current().await.unwrap();
        let error = secrets.wrap(&version, &key(), b"").await.unwrap_err();
        assert_eq!(error.kind(), ProviderErrorKind::Invalid);
        assert!(!format!("{error:?}").contains("not base64"), "{error:?}");
    }
}
