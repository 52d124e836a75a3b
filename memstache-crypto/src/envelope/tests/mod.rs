//! What an envelope promises, with keys at hand.

mod salamander;

use std::collections::HashSet;

use memstache_core::{Address, Encoding, FormatId, KeyspaceName, Space, TenantId};
use proptest::prelude::*;

use super::*;
use crate::{
    backend::{Backend, tests::backends},
    key::{DataKey, Secret},
};

const SALT: [u8; SALT_LEN] = [3; SALT_LEN];
const NONCE: [u8; 12] = [4; 12];

fn address(tenant: &str, keyspace: &str, name: &[u8]) -> Address {
    let tenant = (!tenant.is_empty()).then(|| TenantId::new(tenant).unwrap());
    Address::plain(&Space::new(tenant.as_ref(), &KeyspaceName::new(keyspace).unwrap()), name).unwrap()
}

fn data_key(seed: u8) -> DataKey {
    DataKey::new(Secret::from_bytes([seed; 32]))
}

fn inner(len: usize) -> Inner {
    Inner {
        format: FormatId::JSON,
        encoding: Encoding::NONE,
        negative: false,
        schema: None,
        generation: 0,
        len: u32::try_from(len).unwrap(),
        plain_len: len as u64,
        written_at: 1,
        deadline: Some(2),
    }
}

fn opening(suite: Suite, padded: bool, key: &DataKey) -> Opening {
    Opening { suite, padded, key_id: key.id(), salt: SALT, nonce: NONCE }
}

#[test]
fn every_backend_writes_the_same_and_opens_the_others() {
    let (key, at) = (data_key(1), address("t", "k", b"n"));
    for suite in Suite::ALL {
        for (padded, value) in [(false, &b""[..]), (false, b"value"), (true, b""), (true, &[7; 1_000])] {
            let sealed = backends().into_iter().map(|backend| {
                let entry_key = EntryKey::derive(backend, &key, suite, &SALT);
                seal(&opening(suite, padded, &key), &entry_key, &at, &inner(value.len()), value).unwrap()
            });
            let sealed: HashSet<_> = sealed.collect();
            assert_eq!(sealed.len(), 1, "{suite:?}");
            let bytes = sealed.into_iter().next().unwrap();
            let overhead = 64 + INNER_LEN + if suite.is_committing() { 32 } else { 0 };
            let padding = if padded { padme(INNER_LEN + value.len()) - INNER_LEN - value.len() } else { 0 };
            assert_eq!(bytes.len(), value.len() + overhead + padding);
            for backend in backends() {
                let entry_key = EntryKey::derive(backend, &key, suite, &SALT);
                let opened = open(&parse(&bytes).unwrap(), &entry_key, &at).unwrap();
                assert_eq!((opened.0, &opened.1[..]), (inner(value.len()), value));
            }
        }
    }
}

#[test]
fn a_length_that_the_text_does_not_have_is_refused() {
    let (key, at) = (data_key(1), address("t", "k", b"n"));
    let entry_key = EntryKey::derive(Backend::ring(), &key, Suite::Aes256Gcm, &SALT);
    let opened = |padded, said: usize| {
        let bytes = seal(&opening(Suite::Aes256Gcm, padded, &key), &entry_key, &at, &inner(said), b"value").unwrap();
        open(&parse(&bytes).unwrap(), &entry_key, &at).map(|(_, value)| value)
    };
    assert_eq!(opened(false, 5).unwrap(), "value");
    assert_eq!(opened(false, 6), Err(Reason::Inner), "longer than the text");
    assert_eq!(opened(false, 4), Err(Reason::Inner), "padding without the flag");
    assert_eq!(opened(true, 4).unwrap(), &"value"[1..], "the value is at the end");
    assert_eq!(opened(true, 500), Err(Reason::Inner));
}

#[test]
fn entry_keys_differ_by_key_suite_and_salt() {
    let sealed = |key: &DataKey, suite: Suite, salt: &[u8; SALT_LEN]| {
        let entry_key = EntryKey::derive(Backend::ring(), key, suite, salt);
        let mut text = [0; 32];
        entry_key.cipher.seal(NONCE, b"", &mut text).unwrap();
        text
    };
    let (one, two) = (data_key(1), data_key(2));
    let mut seen = HashSet::new();
    for suite in Suite::ALL {
        assert!(seen.insert(sealed(&one, suite, &SALT)));
        assert!(seen.insert(sealed(&one, suite, &[9; SALT_LEN])));
        assert!(seen.insert(sealed(&two, suite, &SALT)));
    }
}

fn associated_data(header: &[u8], at: &Address) -> Vec<u8> {
    associated::with(header, at, <[u8]>::to_vec)
}

#[test]
fn associated_data_is_laid_out_as_documented() {
    let header = [0xC1; HEADER_LEN];
    let expected = [b"mst1/aad", &header[..], b"\0\0\0\x01t", b"\0\0\0\x02ks", b"\0\0\0\x03a:b"].concat();
    assert_eq!(associated_data(&header, &address("t", "ks", b"a:b")), expected);
    let shared = [b"mst1/aad", &header[..], b"\0\0\0\0", b"\0\0\0\x02ks", b"\0\0\0\x01a"].concat();
    assert_eq!(associated_data(&header, &address("", "ks", b"a")), shared);
    let (label, name) = ("l".repeat(64), vec![b'n'; 1_024]);
    let longest = associated_data(&[0; HEADER_LEN + COMMITMENT_LEN], &address(&label, &label, &name));
    assert_eq!(longest.len(), 8 + 80 + 12 + 64 + 64 + 1_024);
}

/// Places that are easily taken for each other.
fn places() -> impl Strategy<Value = (String, String, Vec<u8>)> {
    let name = prop::collection::vec(prop::sample::select(vec![0u8, 1, 2, b'a', b'b', b':']), 1..6);
    ("[ab]{0,3}", "[ab]{1,3}", name)
}

proptest! {
    #[test]
    fn associated_data_tells_all_places_apart(a in places(), b in places(), (x, y) in any::<(bool, bool)>()) {
        let header = |committing: bool| {
            let mut header = vec![0; if committing { HEADER_LEN + COMMITMENT_LEN } else { HEADER_LEN }];
            header[2] = if committing { 0x11 } else { 0x01 };
            header
        };
        let one = associated_data(&header(x), &address(&a.0, &a.1, &a.2));
        let other = associated_data(&header(y), &address(&b.0, &b.1, &b.2));
        prop_assert_eq!(one == other, a == b && x == y);
        prop_assert!(a == b || !one.starts_with(&other));
    }

    #[test]
    fn any_bytes_are_taken_apart_or_refused(mut bytes in prop::collection::vec(any::<u8>(), 0..300), real in any::<bool>()) {
        if real && bytes.len() > 3 {
            let header = [MAGIC, VERSION, [1, 2, 0x11, 0x12][usize::from(bytes[2] % 4)], bytes[3] & 1];
            bytes[..4].copy_from_slice(&header);
        }
        if let Ok(parsed) = parse(&bytes) {
            let parts = parsed.header.len() + parsed.text.len() + parsed.tag.len();
            prop_assert_eq!(parts, bytes.len());
            prop_assert!(parsed.text.len() >= INNER_LEN);
            prop_assert_eq!(parsed.commitment.len(), if parsed.suite.is_committing() { COMMITMENT_LEN } else { 0 });
        }
    }
}
