//! Any value comes back from where it was written, and from nowhere else.

use std::time::Duration;

use memstache_core::{Content, Encoding, FormatId, Lifetime, Lookup, NewEntry, Schema};
use memstache_crypto::{Seal, SealBuilder, Subkeys};
use proptest::prelude::*;

use crate::kit::{address, assert_rejected, backends, builder, down, keys, up};

/// A layer of any settings that change what is written.
fn layers() -> impl Strategy<Value = Seal> {
    let flags = any::<[bool; 4]>();
    (flags, prop::sample::select(backends())).prop_map(|([chacha, committing, padded, shared], backend)| {
        let with = |set: bool, builder: SealBuilder, change: fn(SealBuilder) -> SealBuilder| {
            if set { change(builder) } else { builder }
        };
        let builder = builder(keys(1)).0.backend(backend);
        let builder = with(chacha, builder, SealBuilder::chacha20_poly1305);
        let builder = with(committing, builder, SealBuilder::committing);
        let builder = with(padded, builder, SealBuilder::padded);
        with(shared, builder, |builder| builder.subkeys(Subkeys::per_writer())).build().unwrap()
    })
}

fn entries() -> impl Strategy<Value = NewEntry> {
    let value = prop::collection::vec(any::<u8>(), 0..2_000);
    let content = any::<(u8, u8, Option<u64>, u64)>();
    let lifetime = prop::option::of((1u64..1 << 28, 0u64..1 << 28));
    (value, content, lifetime, any::<bool>()).prop_map(|(value, content, lifetime, negative)| {
        let (format, encoding, schema, plain_len) = content;
        let lifetime = lifetime.map_or(Lifetime::UNLIMITED, |(ttl, grace)| {
            let grace = Duration::from_secs(grace);
            Lifetime::new(Duration::from_secs(ttl)).unwrap().with_stale_for(grace).unwrap()
        });
        let mut entry = NewEntry::new(if negative { Vec::new() } else { value }, lifetime);
        let (format, encoding, schema) = (FormatId(format), Encoding(encoding), schema.map(Schema));
        entry.content = Content { format, encoding, sealed: false, negative, schema, plain_len };
        entry
    })
}

fn places() -> impl Strategy<Value = (String, String, Vec<u8>)> {
    ("[ab]{0,2}", "[ab]{1,2}", prop::collection::vec(prop::sample::select(vec![0u8, b'a', b'b', b':']), 1..4))
}

proptest! {
    #[test]
    fn a_value_comes_back_whole_and_only_where_it_was_written(
        (writer, reader) in (layers(), layers()),
        entry in entries(),
        (here, there) in (places(), places()),
    ) {
        let at = address(&here.0, &here.1, &here.2);
        let stored = down(&writer, &at, entry.clone()).unwrap();
        prop_assert!(stored.content.sealed && stored.value.len() >= entry.value.len() + 108);
        match up(&reader, &at, stored.clone()) {
            Ok(Lookup::Hit(opened)) => {
                prop_assert_eq!((opened.value, opened.meta.content), (entry.value, entry.content));
            }
            Ok(Lookup::Negative(meta)) => prop_assert_eq!(meta.content, entry.content),
            other => prop_assert!(false, "{other:?}"),
        }
        if here != there {
            assert_rejected(up(&reader, &address(&there.0, &there.1, &there.2), stored));
            prop_assert_eq!(reader.stats().rejected_tag, 1);
        }
    }
}
