//! What is sealed inside, and what is shown outside.

use std::time::Duration;

use memstache_core::{Content, Encoding, FormatId, Lease, LeaseId, Lifetime, Lookup, NewEntry, Schema, Sequence, Tick};
use memstache_crypto::SealBuilder;

use crate::{
    kit::{VERSION, answer, assert_rejected, builder, down, entry, hit, home, kept, keys, lasting, seal, up},
    tampering::reason,
};

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn content() -> Content {
    Content {
        format: FormatId::POSTCARD,
        encoding: Encoding::ZSTD,
        sealed: false,
        negative: false,
        schema: Some(Schema::new("user", 3)),
        plain_len: 9_999,
    }
}

#[test]
fn what_a_value_is_comes_back_and_is_not_shown() {
    let seal = seal();
    for value in [&b""[..], b"v", &[9; 100_000]] {
        let mut given = entry(value);
        given.content = content();
        let stored = down(&seal, &home(), given).unwrap();
        assert_eq!(stored.content, Content { sealed: true, ..Content::default() }, "outside nothing is said");
        let opened = hit(up(&seal, &home(), stored));
        assert_eq!((&opened.value[..], opened.meta.content), (value, content()));
    }
}

#[test]
fn a_negative_record_is_sealed_and_cannot_be_made_up() {
    let seal = seal();
    let stored = down(&seal, &home(), NewEntry::negative(Lifetime::UNLIMITED)).unwrap();
    assert!(stored.content.negative && stored.content.sealed, "stores go by it");
    assert!(!stored.value.is_empty());
    match up(&seal, &home(), stored.clone()) {
        Ok(Lookup::Negative(meta)) => assert!(meta.content.negative && !meta.content.sealed),
        other => panic!("{other:?}"),
    }
    // One that the store says without showing it.
    for content in [stored.content, Content { sealed: false, ..stored.content }] {
        let mut meta = kept(stored.clone()).meta;
        meta.content = content;
        let before = seal.stats();
        assert_rejected(answer(&seal, &home(), Lookup::Negative(meta)));
        assert_eq!(reason(before, seal.stats()), "downgrade");
    }
    let error = down(&seal, &home(), NewEntry { value: "v".into(), ..NewEntry::negative(Lifetime::UNLIMITED) });
    assert_eq!(
        error.unwrap_err().to_string(),
        "negative entry must be without a value, but one with a value was given"
    );
}

#[test]
fn a_value_does_not_open_after_its_deadline_whatever_the_store_says() {
    let (builder, clock) = builder(keys(1));
    let seal = builder.max_skew(secs(30)).build().unwrap();
    let graced = |ttl, grace| Lifetime::new(secs(ttl)).unwrap().with_stale_for(secs(grace)).unwrap();
    let stored = down(&seal, &home(), NewEntry::new("v", graced(60, 40))).unwrap();
    let negative = down(&seal, &home(), NewEntry::negative(graced(60, 40))).unwrap();
    let forever = down(&seal, &home(), entry("v")).unwrap();
    // What the store keeps without an end, and gives out as fresh.
    let persisted = |stored: &NewEntry| NewEntry { lifetime: Lifetime::UNLIMITED, ..stored.clone() };
    clock.advance(secs(60 + 30) - Duration::from_millis(1));
    assert!(matches!(up(&seal, &home(), persisted(&negative)), Ok(Lookup::Negative(_))));
    clock.advance(Duration::from_millis(1));
    let before = seal.stats();
    assert_rejected(up(&seal, &home(), persisted(&negative)));
    assert_eq!(reason(before, seal.stats()), "expired", "a negative record has no grace");
    clock.advance(secs(40) - Duration::from_millis(1));
    assert_eq!(hit(up(&seal, &home(), persisted(&stored))).value, "v");
    clock.advance(Duration::from_millis(1));
    let before = seal.stats();
    assert_rejected(up(&seal, &home(), persisted(&stored)));
    assert_eq!(reason(before, seal.stats()), "expired");
    assert_eq!(hit(up(&seal, &home(), forever)).value, "v");
}

#[test]
fn a_copy_above_does_not_outlive_the_deadline_nor_look_younger_than_it_is() {
    let (builder, clock) = builder(keys(1));
    let seal = builder.max_skew(secs(30)).build().unwrap();
    let stored = down(&seal, &home(), lasting("v", 60)).unwrap();
    let start = memstache_core::Clock::now(&clock);
    clock.advance(secs(50));
    // As a store gives it out that was told to keep it for ever, and wrote it just now.
    let now = memstache_core::Clock::now(&clock);
    let lifetime = Lifetime::new(secs(1_000)).unwrap().with_stale_for(secs(1_000)).unwrap();
    let stretched = NewEntry { lifetime, ..stored.clone() }.into_entry(now, VERSION, Sequence(3));
    let opened = hit(answer(&seal, &home(), Lookup::Hit(stretched)));
    let end = start.after(secs(60 + 30));
    assert_eq!((opened.meta.hard_until, opened.meta.fresh_until, opened.meta.stale_for), (end, end, secs(0)));
    assert_eq!(opened.meta.written_at, start, "its age is what is said inside");
    // What is true is left as it is.
    let honest = stored.into_entry(start, VERSION, Sequence(3));
    let opened = hit(answer(&seal, &home(), Lookup::Hit(honest.clone())));
    assert_eq!((opened.meta.hard_until, opened.meta.written_at), (honest.meta.hard_until, start));
    assert_ne!(opened.meta.hard_until, Tick::NEVER);
}

#[test]
fn values_of_an_earlier_generation_do_not_open_and_later_ones_do() {
    let of = |generation| builder(keys(1)).0.generation(generation).build().unwrap();
    let (zero, one) = (of(0), of(1));
    let (old, new) = (down(&zero, &home(), entry("old")).unwrap(), down(&one, &home(), entry("new")).unwrap());
    assert_eq!(hit(up(&zero, &home(), new.clone())).value, "new");
    assert_eq!(hit(up(&one, &home(), new)).value, "new");
    let before = one.stats();
    assert_rejected(up(&one, &home(), old));
    assert_eq!(reason(before, one.stats()), "generation");
}

#[test]
fn a_sealed_value_is_as_much_longer_as_is_documented() {
    for (build, more) in [(SealBuilder::aes_256_gcm as fn(_) -> _, 108), (SealBuilder::committing, 140)] {
        let seal = build(builder(keys(1)).0).build().unwrap();
        for len in [0, 1, 1_000] {
            assert_eq!(down(&seal, &home(), entry(vec![7; len])).unwrap().value.len(), len + more);
        }
    }
}

#[test]
fn padding_hides_lengths_and_is_taken_off() {
    let len_of = |build: fn(SealBuilder) -> SealBuilder, len: usize| {
        let seal = build(builder(keys(1)).0).build().unwrap();
        let stored = down(&seal, &home(), entry(vec![7; len])).unwrap();
        assert_eq!(hit(up(&seal, &home(), stored.clone())).value, vec![7; len]);
        // Whoever does not pad reads it as well.
        assert_eq!(hit(up(&self::seal(), &home(), stored.clone())).value, vec![7; len]);
        stored.value.len()
    };
    assert_ne!(len_of(|builder| builder, 1_000), len_of(|builder| builder, 1_001));
    let padded: std::collections::HashSet<_> = (960..980).map(|len| len_of(SealBuilder::padded, len)).collect();
    assert_eq!(padded.len(), 1);
    assert!(len_of(SealBuilder::padded, 1 << 16) <= (1 << 16) * 112 / 100);
}

#[test]
fn a_stale_value_is_opened_and_one_that_cannot_be_leaves_its_lease_to_the_caller() {
    let (seal, other) = (seal(), builder(keys(2)).0.build().unwrap());
    let stored = kept(down(&seal, &home(), entry("v")).unwrap());
    let lease = Lease { id: LeaseId(5), sequence: Sequence(1), ttl: secs(1) };
    match answer(&seal, &home(), Lookup::Stale(stored.clone(), Some(lease))) {
        Ok(Lookup::Stale(entry, Some(kept))) => assert_eq!((&entry.value[..], kept), (&b"v"[..], lease)),
        other => panic!("{other:?}"),
    }
    let before = other.stats();
    let found = answer(&other, &home(), Lookup::Stale(stored.clone(), Some(lease)));
    assert!(matches!(found, Ok(Lookup::Leased(kept)) if kept == lease));
    assert_eq!(reason(before, other.stats()), "key_unknown");
    assert_rejected(answer(&other, &home(), Lookup::Stale(stored, None)));
    for nothing in [Lookup::Miss, Lookup::Leased(lease), Lookup::Busy(Some(lease.id))] {
        let shown = format!("{nothing:?}");
        assert_eq!(format!("{:?}", answer(&seal, &home(), nothing).unwrap()), shown);
    }
}
