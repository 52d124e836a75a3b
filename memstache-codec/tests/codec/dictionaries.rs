//! Dictionaries of zstd for small values.

use memstache_codec::{Compress, Dictionaries, Dictionary, Raw};
use memstache_core::{Cache, Encoding, ErrorKind, Lifetime, MemoryStore, NewEntry, Result, Stack, TenantId};

use crate::common::{address, down, space, stored, up, user, value};

/// About 300 bytes of JSON, the n-th.
fn sample(n: u64) -> Vec<u8> {
    serde_json::to_vec(&user(n)).unwrap()
}

fn trained(id: u32, from: u64) -> Dictionary {
    Dictionary::train(id, (from..from + 1_000).map(sample), 16 << 10).unwrap()
}

fn layer(dictionaries: &Dictionaries) -> Compress {
    Compress::builder().zstd(3).dictionaries(dictionaries).build().unwrap()
}

fn entry(value: Vec<u8>) -> NewEntry {
    NewEntry::new(value, Lifetime::UNLIMITED)
}

fn again(compress: &Compress, tenant: Option<&str>, packed: NewEntry) -> Result<bytes::Bytes> {
    value(up(compress, &address(tenant), stored(packed.value, packed.content)))
}

#[test]
fn small_values_shrink_as_promised() {
    let report = trained(7, 0).savings((50_000..51_000).map(sample)).unwrap();
    println!("{report}");
    assert!((250..350).contains(&(report.plain / report.values)), "{report}");
    assert!(report.with_dictionary() >= 2.5, "{report}");
    assert!(report.without() < 1.6, "{report}");
}

#[test]
fn a_value_names_its_dictionary_and_several_are_readable() {
    let (dictionaries, space) = (Dictionaries::new(), space(Some("acme")));
    let compress = layer(&dictionaries);
    let acme = Some("acme");
    let plain = down(&compress, &address(acme), entry(sample(1)));
    assert_eq!(plain.content.encoding, Encoding::NONE, "too small without");

    dictionaries.add(&space, trained(1, 0)).unwrap();
    let first = down(&compress, &address(acme), entry(sample(1)));
    assert_eq!(first.content.encoding, Encoding::ZSTD);
    assert!(first.value.len() * 5 < sample(1).len() * 2, "{} of {}", first.value.len(), sample(1).len());

    dictionaries.add(&space, trained(70_000, 5_000)).unwrap();
    let second = down(&compress, &address(acme), entry(sample(1)));
    assert_ne!(first.value, second.value);
    for packed in [first.clone(), second.clone(), plain] {
        assert_eq!(again(&compress, acme, packed).unwrap(), sample(1));
    }
    let counts: Vec<_> = dictionaries.of(&space).iter().map(|it| (it.id(), it.stats().values)).collect();
    assert_eq!(counts, [(1, 1), (70_000, 1)]);

    assert!(dictionaries.retire(&space, 1) && !dictionaries.retire(&space, 1));
    let error = again(&compress, acme, first).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected);
    assert!(error.version().is_some() && error.to_string().contains("dictionary 1"), "{error}");
    assert_eq!(compress.stats().rejected_dictionary, 1);
    dictionaries.stop_writing(&space);
    assert_eq!(down(&compress, &address(acme), entry(sample(1))).content.encoding, Encoding::NONE);
    assert_eq!(again(&compress, acme, second).unwrap(), sample(1));
}

#[test]
fn a_tenants_dictionary_is_its_own_unless_it_is_shared() {
    let dictionaries = Dictionaries::new();
    let compress = layer(&dictionaries);
    dictionaries.add(&space(Some("acme")), trained(1, 0)).unwrap();
    let packed = down(&compress, &address(Some("acme")), entry(sample(1)));
    for other in [Some("other"), None] {
        assert_eq!(down(&compress, &address(other), entry(sample(1))).content.encoding, Encoding::NONE);
        assert_eq!(again(&compress, other, packed.clone()).unwrap_err().kind(), ErrorKind::Rejected);
    }
    // The same id elsewhere is another dictionary.
    dictionaries.add(&space(Some("other")), trained(1, 9_000)).unwrap();
    let others = down(&compress, &address(Some("other")), entry(sample(1)));
    assert_ne!(packed.value, others.value);
    assert_eq!(again(&compress, Some("other"), others).unwrap(), sample(1));

    dictionaries.add_for_all_tenants(trained(2, 0)).unwrap();
    let shared = down(&compress, &address(Some("third")), entry(sample(1)));
    assert_eq!(again(&compress, Some("fourth"), shared.clone()).unwrap(), sample(1));
    let own = down(&compress, &address(Some("acme")), entry(sample(1)));
    assert_eq!(own.value, packed.value, "its own comes first");
    assert!(dictionaries.retire_for_all_tenants(2));
    assert!(again(&compress, Some("third"), shared).is_err());
}

#[test]
fn a_roll_out_reads_before_it_writes() {
    let (dictionaries, space) = (Dictionaries::new(), space(None));
    dictionaries.add_readable(&space, trained(1, 0)).unwrap();
    let compress = layer(&dictionaries);
    assert_eq!(down(&compress, &address(None), entry(sample(1))).content.encoding, Encoding::NONE);
    let written = Dictionaries::new();
    written.add(&space, trained(1, 0)).unwrap();
    let packed = down(&layer(&written), &address(None), entry(sample(1)));
    assert_eq!(again(&compress, None, packed).unwrap(), sample(1));
}

#[test]
fn training_is_checked_and_repeatable() {
    let invalid = |result: Result<Dictionary>| result.unwrap_err().kind() == ErrorKind::Invalid;
    assert!(invalid(Dictionary::train(0, (0..100).map(sample), 4_096)));
    assert!(invalid(Dictionary::train(1, (0..15).map(sample), 4_096)));
    assert!(invalid(Dictionary::train(1, (0..100).map(sample), 511)));
    assert!(invalid(Dictionary::train(1, (0..100).map(sample), (1 << 20) + 1)));
    assert!(invalid(Dictionary::train(1, (0..100).map(|_| [0u8; 0]), 4_096)));
    assert!(invalid(Dictionary::from_bytes("no dictionary")));
    assert!(invalid(Dictionary::from_bytes(vec![0; (1 << 20) + 1])));
    assert!(invalid(trained(1, 0).with_level(0)));
    let dictionary = trained(300, 0);
    assert_eq!(dictionary.as_bytes(), trained(300, 0).as_bytes());
    let kept = Dictionary::from_bytes(dictionary.as_bytes().clone()).unwrap().with_level(19).unwrap();
    assert_eq!((kept.id(), kept.level()), (300, 19));
    assert!(!format!("{dictionary:?}").contains("Springfield"));
}

#[test]
fn ids_are_not_used_twice_and_sets_are_bounded() {
    let (dictionaries, space) = (Dictionaries::new(), space(None));
    dictionaries.add(&space, trained(1, 0)).unwrap();
    assert!(dictionaries.add(&space, trained(1, 5_000)).is_err());
    dictionaries.add(&space, trained(1, 0)).unwrap();
    assert_eq!(dictionaries.of(&space).len(), 1);
    let small = |id| Dictionary::train(id, (0..100).map(sample), 512).unwrap();
    (2..=32).for_each(|id| dictionaries.add(&space, small(id)).unwrap());
    assert_eq!(dictionaries.add(&space, small(33)).unwrap_err().kind(), ErrorKind::Invalid);
}

#[tokio::test]
async fn through_a_whole_stack_with_tenants() {
    let dictionaries = Dictionaries::new();
    let compress = layer(&dictionaries);
    let stack = Stack::over(MemoryStore::builder().build().unwrap()).compress(compress.clone()).build();
    let users = Cache::builder(stack).keyspace("users").format(Raw).build_tenanted().unwrap();
    dictionaries.add(&space(Some("acme")), trained(1, 0)).unwrap();
    let acme = users.for_tenant(&TenantId::new("acme").unwrap());
    let other = users.for_tenant(&TenantId::new("other").unwrap());
    let keys: Vec<_> = (0..50).map(|n| n.to_string()).collect();
    for (n, key) in keys.iter().enumerate() {
        acme.set(key, &sample(n as u64)).await.unwrap();
        other.set(key, &sample(n as u64)).await.unwrap();
    }
    assert_eq!(compress.stats().compressed, 50, "those of acme");
    let found = acme.get_many::<Vec<u8>>(&keys).await;
    let found: Vec<_> = found.unwrap().into_iter().map(|value| value.unwrap().unwrap()).collect();
    assert_eq!(found, (0..50).map(sample).collect::<Vec<_>>(), "a batch remembers whose each is");
    assert_eq!(other.get::<Vec<u8>>("7").await.unwrap().unwrap(), sample(7));
}

#[test]
fn samples_without_an_end_end() {
    let error = Dictionary::train(1, std::iter::repeat_with(Vec::new), 16 << 10).unwrap_err();
    assert_eq!(error.to_string(), "samples must be at least 16, but 0 was given");
}
