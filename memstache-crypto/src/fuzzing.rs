//! What the fuzz targets run, also run by a normal test over their corpora.

use std::sync::LazyLock;

use memstache_core::{
    Address, Get, KeyspaceName, Lifetime, Lookup, NewEntry, OneOrMany, Request, Response, Sequence, Space, Step,
    TenantId, Tick, Transform as _, Version,
};

use crate::{
    backend::Backend,
    envelope::{self, EntryKey, HEADER_LEN, INNER_LEN, Inner, MAGIC, PADDED, SALT_LEN, Suite, VERSION, associated},
    key::{DataKey, FixedKeys, Secret},
    keyring,
    seal::Seal,
};

/// The secret of everything here, and of the golden envelopes.
const SECRET: [u8; 32] = [1; 32];

static SEAL: LazyLock<Seal> = LazyLock::new(|| {
    let keys = FixedKeys::dangerous_one_for_all(Secret::from_bytes(SECRET));
    Seal::builder(keys).max_value(1 << 16).build().expect("good settings")
});

fn address(tenant: &str, keyspace: &str, name: &[u8]) -> Option<Address> {
    let tenant = if tenant.is_empty() { None } else { Some(TenantId::new(tenant).ok()?) };
    Address::plain(&Space::new(tenant.as_ref(), &KeyspaceName::new(keyspace).ok()?), name).ok()
}

/// Where the golden envelopes belong.
fn home() -> Address {
    address("golden-tenant", "golden-keyspace", b"golden/name\x00\xff").expect("good names")
}

/// Reads bytes as a key record. Returns whether they are laid out as one.
pub fn key_record(data: &[u8]) -> bool {
    keyring::fuzzing::key_record(data)
}

/// Sends bytes to the emulator as the body of a call; the first byte chooses which. Returns whether the call succeeded.
#[cfg(feature = "emulator")]
pub fn emulator_json(data: &[u8]) -> bool {
    crate::emulator::fuzzing::call(data)
}

/// Takes bytes apart and opens them as a stored value, which succeeds for those alone that were sealed here. Returns
/// whether they are laid out as an envelope.
pub fn envelope(data: &[u8]) -> bool {
    let opened = open(data);
    let Ok(parsed) = envelope::parse(data) else {
        assert!(!opened, "what is no envelope was opened");
        return false;
    };
    let head = [&[MAGIC, VERSION, parsed.suite.byte(), if parsed.padded { PADDED } else { 0 }], &parsed.key_id[..]];
    let whole = [&head.concat(), &parsed.salt[..], parsed.nonce, parsed.commitment, parsed.text, parsed.tag].concat();
    assert_eq!(whole, data, "what is taken apart is the whole");
    true
}

/// Opens bytes as a stored value.
fn open(data: &[u8]) -> bool {
    let mut entry = NewEntry::new(data.to_vec(), Lifetime::UNLIMITED);
    entry.content.sealed = true;
    let entry = entry.into_entry(Tick::from_millis(1), Version(1), Sequence(0));
    let Step::Now(Ok((_, pending))) = SEAL.request(Request::Get(Get::one(home()))) else { panic!("a read waits") };
    let found = Response::Found(OneOrMany::One(Ok(Lookup::Hit(entry))));
    match SEAL.response(pending, found) {
        Step::Now(Ok(Response::Found(found))) => match found.into_one() {
            Some(Ok(Lookup::Hit(entry))) => {
                assert!(!entry.meta.content.sealed && entry.value.len() <= data.len());
                true
            }
            Some(Ok(Lookup::Negative(meta))) => meta.content.negative,
            _ => false,
        },
        other => panic!("{other:?}"),
    }
}

/// Seals any bytes as the text of an envelope and opens it: what only a writer with the key could have made. The first
/// byte chooses how. Returns whether the text was accepted.
pub fn inner_header(data: &[u8]) -> bool {
    let Some((how, text)) = data.split_first() else { return false };
    let suite = Suite::ALL[usize::from(how % 4)];
    let key = DataKey::new(Secret::from_bytes(SECRET));
    let salt = [*how; SALT_LEN];
    let entry_key = EntryKey::derive(Backend::ring(), &key, suite, &salt);
    let mut bytes = vec![MAGIC, VERSION, suite.byte(), how >> 2 & PADDED];
    for part in [&key.id().as_bytes()[..], &salt, &[0; 12], entry_key.commitment()] {
        bytes.extend_from_slice(part);
    }
    let mut sealed = text.to_vec();
    let tag = associated::with(&bytes, &home(), |aad| entry_key.cipher.seal([0; 12], aad, &mut sealed));
    bytes.extend_from_slice(&sealed);
    bytes.extend_from_slice(&tag.expect("a short text"));
    let Ok(parsed) = envelope::parse(&bytes) else {
        assert!(text.len() < INNER_LEN, "an envelope that is not read again");
        return false;
    };
    let whole = open(&bytes);
    let Ok((inner, value)) = envelope::open(&parsed, &entry_key, &home()) else {
        assert!(!whole, "the layer opens what the envelope does not");
        return false;
    };
    let header: &[u8; INNER_LEN] = text.first_chunk().expect("it was read");
    assert_eq!(inner.write(), *header, "a header that is written in two ways");
    assert_eq!(Inner::read(header), Ok(inner));
    assert!(text.ends_with(&value) && value.len() == usize::try_from(inner.len).expect("a short value"));
    true
}

/// Makes associated data of any parts and takes it apart again: nothing else could have made it. The first three bytes are
/// the suite and the lengths of the first two parts. Returns whether the parts are those of an address.
pub fn associated_data(data: &[u8]) -> bool {
    let Some(([suite, tenant, keyspace], rest)) = data.split_first_chunk() else { return false };
    let header_len = HEADER_LEN + if suite & 0x10 == 0 { 0 } else { envelope::COMMITMENT_LEN };
    let mut header = vec![*suite; header_len];
    header[2] = *suite;
    let mut rest = rest;
    let mut take = |len: u8| {
        let (part, left) = rest.split_at(usize::from(len).min(rest.len()));
        rest = left;
        std::str::from_utf8(part).unwrap_or_default().to_owned()
    };
    let (tenant, keyspace) = (take(*tenant), take(*keyspace));
    let Some(address) = address(&tenant, &keyspace, rest) else { return false };
    let made = associated::with(&header, &address, <[u8]>::to_vec);
    let mut left =
        made.strip_prefix(b"mst1/aad").and_then(|left| left.strip_prefix(&header[..])).expect("they are first");
    for part in [tenant.as_bytes(), keyspace.as_bytes(), rest] {
        let (len, more) = left.split_first_chunk().expect("a length");
        let (read, more) = more.split_at(usize::try_from(u32::from_be_bytes(*len)).expect("a short part"));
        assert_eq!(read, part);
        left = more;
    }
    assert!(left.is_empty());
    true
}
