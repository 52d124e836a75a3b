//! What is sealed, what is left plain, and that one is never taken for the other.

use std::time::Duration;

use memstache_core::{Encoding, ErrorKind, Lifetime, Lookup, NewEntry};
use memstache_crypto::{Seal, SealBuilder, Subkeys};

use crate::{
    kit::{address, answer, assert_rejected, builder, down, entry, hit, home, kept, keys, keyspace, up},
    tampering::reason,
};

fn built(build: impl FnOnce(SealBuilder) -> SealBuilder) -> Seal {
    build(builder(keys(1)).0).build().unwrap()
}

fn asking(encrypt: Option<bool>) -> NewEntry {
    let mut entry = entry("value");
    entry.options.encrypt = encrypt;
    entry
}

#[test]
fn keyspaces_and_entries_choose_within_what_is_allowed() {
    let some_plain = built(|builder| builder.plain(&keyspace("open")));
    let most_plain = built(|builder| builder.plain_by_default().sealed(&keyspace("users")));
    for seal in [some_plain, most_plain] {
        let (open, users) = (address("acme", "open", "n"), address("acme", "users", "n"));
        let sealed = |at, encrypt| down(&seal, at, asking(encrypt)).map(|stored| stored.content.sealed);
        assert!(sealed(&users, None).unwrap() && sealed(&users, Some(true)).unwrap());
        assert!(!sealed(&open, None).unwrap() && !sealed(&open, Some(false)).unwrap());
        assert!(sealed(&open, Some(true)).unwrap());
        let error = sealed(&users, Some(false)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let text = "encrypt must be true or unset in a keyspace that is sealed, but false was given";
        assert_eq!(error.to_string(), text);
        let stats = seal.stats();
        assert_eq!((stats.sealed, stats.left_plain, stats.refused_policy), (3, 2, 1));
    }
}

#[test]
fn what_is_plain_where_everything_is_sealed_is_never_read() {
    let seal = built(|builder| builder.plain(&keyspace("open")));
    for encoding in [Encoding::NONE, Encoding::ZSTD] {
        let mut planted = entry("planted");
        planted.content.encoding = encoding;
        let before = seal.stats();
        assert_rejected(up(&seal, &home(), planted.clone()));
        assert_eq!(reason(before, seal.stats()), "downgrade");
        // With the store's word that it is sealed.
        planted.content.sealed = true;
        let before = seal.stats();
        assert_rejected(up(&seal, &home(), planted));
        assert_eq!(reason(before, seal.stats()), "magic");
    }
    // A sealed value whose mark was taken off.
    let mut stored = down(&seal, &home(), entry("v")).unwrap();
    stored.content.sealed = false;
    let before = seal.stats();
    assert_rejected(up(&seal, &home(), stored));
    assert_eq!(reason(before, seal.stats()), "downgrade");
}

#[test]
fn a_plain_keyspace_reads_both() {
    let seal = built(|builder| builder.plain(&keyspace("open")));
    let open = address("acme", "open", "n");
    assert_eq!(hit(up(&seal, &open, entry("plain"))).value, "plain");
    let stored = down(&seal, &open, asking(Some(true))).unwrap();
    assert_eq!(hit(up(&seal, &open, stored.clone())).value, "value");
    let negative = kept(NewEntry::negative(Lifetime::UNLIMITED)).meta;
    assert!(matches!(answer(&seal, &open, Lookup::Negative(negative.clone())), Ok(Lookup::Negative(_))));
    assert_eq!((seal.stats().read_plain, seal.stats().opened), (2, 1));
    // What is marked as sealed must be.
    let mut marked = negative;
    marked.content.sealed = true;
    let before = seal.stats();
    assert_rejected(answer(&seal, &open, Lookup::Negative(marked)));
    assert_eq!(reason(before, seal.stats()), "downgrade");
    let before = seal.stats();
    assert_rejected(up(&seal, &open, NewEntry { value: "bare".into(), ..stored }));
    assert_eq!(reason(before, seal.stats()), "magic");
}

#[test]
fn two_seals_one_above_the_other_refuse() {
    let (above, below) = (built(|builder| builder), built(|builder| builder));
    let once = down(&above, &home(), entry("v")).unwrap();
    let error = down(&below, &home(), once).unwrap_err();
    assert_eq!(error.to_string(), "entry must be not sealed yet, but a sealed one was given");
    assert_eq!(below.stats().refused_policy, 1);
}

#[test]
fn too_long_a_value_is_refused_with_its_limit() {
    let seal = built(|builder| builder.max_value(1_000));
    assert!(down(&seal, &home(), entry(vec![1; 1_000])).is_ok());
    let error = down(&seal, &home(), entry(vec![1; 1_001])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert_eq!(error.to_string(), "a value must be at most 1000 bytes long to be sealed, but 1001 was given");
    assert_eq!(seal.stats().refused_too_large, 1);
}

#[test]
fn wrong_settings_are_all_named() {
    let wrong = |builder: SealBuilder| builder.build().unwrap_err();
    let base = || builder(keys(1)).0;
    for (built, text) in [
        (wrong(base().max_value(0)), "max_value must be from 1 to 1073741824, but 0 was given"),
        (wrong(base().max_value((1 << 30) + 1)), "max_value must be from 1 to 1073741824, but 1073741825 was given"),
        (wrong(base().max_skew(Duration::from_secs(86_401))), "max_skew must be at most 24 h, but 86401s was given"),
        (
            wrong(base().max_value(0).subkeys(Subkeys::PerWriter { max_messages: 0, max_age: Duration::ZERO })),
            "max_messages must be from 1 to 4294967296, but 0 was given; max_age must be above zero, but zero was \
             given; max_value must be from 1 to 1073741824, but 0 was given",
        ),
    ] {
        assert_eq!((built.kind(), built.to_string().as_str()), (ErrorKind::Invalid, text));
    }
    assert!(base().max_value(1 << 30).max_skew(Duration::from_secs(86_400)).build().is_ok());
}
