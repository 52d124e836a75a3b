//! Whatever is done to a stored value, it is refused: with one public error, and under one counted reason.

use memstache_core::{Address, NewEntry};
use memstache_crypto::{Seal, SealBuilder, SealStats, Subkeys};

use crate::kit::{
    Brought, address, assert_rejected, backends, builder, down, entry, hit, home, keys, lasting, seal, up,
};

/// A layer of every way to seal with every backend, with what it makes of one value.
fn ways() -> Vec<(Seal, NewEntry)> {
    let ways: [fn(SealBuilder) -> SealBuilder; 6] = [
        |builder| builder,
        |builder| builder.chacha20_poly1305(),
        |builder| builder.committing(),
        |builder| builder.chacha20_poly1305().committing(),
        |builder| builder.padded(),
        |builder| builder.subkeys(Subkeys::per_writer()).padded().committing(),
    ];
    let mut made = Vec::new();
    for backend in backends() {
        for way in ways {
            let seal = way(builder(keys(1)).0.backend(backend)).build().unwrap();
            let stored = down(&seal, &home(), lasting("an ordinary value", 60)).unwrap();
            made.push((seal, stored));
        }
    }
    made
}

fn with_bytes(stored: &NewEntry, bytes: Vec<u8>) -> NewEntry {
    NewEntry { value: bytes.into(), ..stored.clone() }
}

/// The only counter that has moved, by its name.
#[track_caller]
pub(crate) fn reason(before: SealStats, after: SealStats) -> String {
    let lines = |stats| format!("{stats:#?}").lines().map(str::to_owned).collect::<Vec<_>>();
    let moved: Vec<_> = lines(before).into_iter().zip(lines(after)).filter(|(a, b)| a != b).map(|(_, b)| b).collect();
    assert_eq!((moved.len(), after.rejected() - before.rejected()), (1, 1), "{moved:?}");
    let name = moved[0].trim().split(':').next().unwrap();
    name.strip_prefix("rejected_").unwrap_or_else(|| panic!("{name}")).to_owned()
}

/// Asserts that a value is refused, and returns why.
#[track_caller]
fn refused(seal: &Seal, at: &Address, stored: NewEntry) -> String {
    let before = seal.stats();
    assert_rejected(up(seal, at, stored));
    reason(before, seal.stats())
}

#[test]
fn every_flipped_bit_is_noticed() {
    for (seal, stored) in ways() {
        assert_eq!(hit(up(&seal, &home(), stored.clone())).value, "an ordinary value");
        let committing = stored.value[2] & 0x10 != 0;
        for bit in 0..8 * stored.value.len() {
            let mut bytes = stored.value.to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let why = refused(&seal, &home(), with_bytes(&stored, bytes));
            let expected: &[&str] = match bit / 8 {
                0 => &["magic"],
                1 => &["version"],
                // Another suite has another key, and its commitment in another place.
                2 => &["suite", "tag", "commitment", "length"],
                3 => &["flags", "tag"],
                4..20 => &["key_unknown"],
                20..36 | 48..80 if committing => &["commitment"],
                _ => &["tag"],
            };
            assert!(expected.contains(&why.as_str()), "bit {bit}: {why}");
        }
    }
}

#[test]
fn every_truncation_and_extension_is_noticed() {
    for (seal, stored) in ways() {
        for len in 0..stored.value.len() {
            let why = refused(&seal, &home(), with_bytes(&stored, stored.value[..len].to_vec()));
            let expected = match len {
                0 => "magic",
                // A committing suite's commitment is looked at before the tag, and is whole.
                _ => {
                    if len < least(&stored) {
                        "length"
                    } else {
                        "tag"
                    }
                }
            };
            assert_eq!(why, expected, "{len}");
        }
        for more in [1, 15, 16, 17, 1_000] {
            let bytes = [&stored.value[..], &vec![0; more]].concat();
            assert_eq!(refused(&seal, &home(), with_bytes(&stored, bytes)), "tag");
            let bytes = [&vec![0; more], &stored.value[..]].concat();
            assert_eq!(refused(&seal, &home(), with_bytes(&stored, bytes)), "magic");
        }
        let twice = [&stored.value[..], &stored.value[..]].concat();
        assert_eq!(refused(&seal, &home(), with_bytes(&stored, twice)), "tag");
    }
}

/// The fewest bytes of an envelope of this suite.
fn least(stored: &NewEntry) -> usize {
    48 + if stored.value[2] & 0x10 == 0 { 0 } else { 32 } + 44 + 16
}

#[test]
fn a_value_opens_only_where_it_was_written() {
    for (seal, stored) in ways() {
        for elsewhere in [
            address("acme", "users", "bob"),
            address("acme", "user", "sada"),
            address("acme", "users", "ada "),
            address("acme", "orders", "ada"),
            address("evil", "users", "ada"),
            address("", "users", "ada"),
            address("", "acme", "users"),
        ] {
            assert_eq!(refused(&seal, &elsewhere, stored.clone()), "tag");
        }
        assert_eq!(hit(up(&seal, &home(), stored)).value, "an ordinary value");
    }
}

#[test]
fn a_value_of_another_key_is_unknown_and_a_swapped_key_is_noticed() {
    let sealed = down(&seal(), &home(), entry("v")).unwrap();
    let other = builder(keys(2)).0.build().unwrap();
    assert_eq!(refused(&other, &home(), sealed.clone()), "key_unknown");
    // A source that gives out another key under the id that was asked for.
    let swapped = builder(Brought::new(2)).0.build().unwrap();
    assert_eq!(refused(&swapped, &home(), sealed), "key_unknown");
}

#[test]
fn a_key_that_a_tenant_brought_is_used_with_a_commitment_or_not_at_all() {
    let brought = builder(Brought::new(1)).0.build().unwrap();
    let stored = down(&brought, &home(), entry("v")).unwrap();
    assert_eq!(stored.value[2], 0x11);
    assert_eq!(hit(up(&brought, &home(), stored)).value, "v");
    // The same secret, sealed without one.
    let plain = down(&seal(), &home(), entry("v")).unwrap();
    assert_eq!(plain.value[2], 0x01);
    assert_eq!(refused(&brought, &home(), plain), "suite");
}

#[test]
fn what_the_store_says_about_a_value_changes_nothing() {
    let seal = seal();
    let stored = down(&seal, &home(), entry("v")).unwrap();
    let mut lied = stored;
    lied.content.negative = true;
    lied.content.format.0 = 9;
    lied.content.encoding.0 = 2;
    lied.content.plain_len = u64::MAX;
    let opened = hit(up(&seal, &home(), lied));
    assert_eq!((opened.value, opened.meta.content), ("v".into(), entry("v").content));
}

#[test]
fn a_longer_value_than_is_read_is_refused_before_it_is_looked_at() {
    let (small, large) = (builder(keys(1)).0.max_value(100).build().unwrap(), seal());
    let fits = down(&large, &home(), entry(vec![7; 100])).unwrap();
    assert_eq!(hit(up(&small, &home(), fits)).value.len(), 100);
    let longer = down(&large, &home(), entry(vec![7; 1_000])).unwrap();
    assert_eq!(refused(&small, &home(), longer), "length");
}
