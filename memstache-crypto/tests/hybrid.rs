//! A text that was encrypted in version 1 and is never encrypted again: what was exported once is decrypted for ever.
//!
//! Files that are missing are made with `MEMSTACHE_GOLDEN=new`; those that are there are never written. The key is this
//! test's, and protects nothing.

#![cfg(feature = "rsa")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{env, fs, io::Write as _, path::PathBuf};

use memstache_core::ErrorKind;
use memstache_crypto::{CryptoService, RsaPrivateKey};

const TEXT: &[u8] = b"what was encrypted in version 1 is decrypted for ever";

fn read(file: &str, make: impl FnOnce() -> Vec<u8>) -> Vec<u8> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/hybrid")).join(file);
    if env::var_os("MEMSTACHE_GOLDEN").is_some_and(|word| word == "new") && !path.exists() {
        fs::File::create_new(&path).unwrap().write_all(&make()).unwrap();
    }
    fs::read(path).unwrap()
}

fn golden() -> (RsaPrivateKey, Vec<u8>) {
    let new = || RsaPrivateKey::generate(2048).unwrap().dangerous_to_pem().unwrap().as_bytes().to_vec();
    let key = RsaPrivateKey::from_pem(&String::from_utf8(read("test-only.pem", new)).unwrap()).unwrap();
    let new = || CryptoService::new().encrypt_data(key.public(), TEXT).unwrap().to_vec();
    let sealed = read("version-1.bin", new);
    (key, sealed)
}

#[test]
fn what_was_encrypted_in_version_one_is_decrypted() {
    let (key, sealed) = golden();
    assert_eq!(&CryptoService::new().decrypt_data(&key, &sealed).unwrap()[..], TEXT);
}

#[test]
fn its_bytes_are_where_the_documentation_says() {
    let (key, sealed) = golden();
    // Version 1, suite 1, 256 bytes of a wrapped key; then the nonce, the ciphertext and the tag.
    assert_eq!(sealed[..4], [1, 1, 1, 0]);
    assert_eq!(sealed.len(), 4 + 256 + 12 + TEXT.len() + 16);
    assert!(!sealed.windows(8).any(|window| TEXT.windows(8).any(|text| text == window)));
    let today = CryptoService::new().encrypt_data(key.public(), TEXT).unwrap();
    assert_eq!((today[..4].to_vec(), today.len()), (sealed[..4].to_vec(), sealed.len()), "today's is the same");

    let kind = |at: usize, byte: u8| {
        let mut other = sealed.clone();
        other[at] = byte;
        CryptoService::new().decrypt_data(&key, &other).unwrap_err().kind()
    };
    assert_eq!([kind(0, 2), kind(1, 2)], [ErrorKind::Unsupported; 2], "a later version, and a later suite");
    // Each part of it, by its first byte.
    for at in [2, 3, 4, 4 + 256, 4 + 256 + 12, sealed.len() - 16] {
        assert_eq!(kind(at, !sealed[at]), ErrorKind::Rejected, "{at}");
    }
}
