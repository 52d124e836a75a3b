//! Dictionaries by the same id, and dictionaries that come and go while values travel.

use std::thread;

use memstache_codec::{Compress, Dictionaries, Dictionary};
use memstache_core::{
    Address, Encoding, Entry, ErrorKind, Get, Lifetime, Lookup, NewEntry, OneOrMany, Request, Response, Step, Transform,
};

use crate::common::{address, down, space, stored, up, user, value};

fn sample(n: u64) -> Vec<u8> {
    serde_json::to_vec(&user(n)).unwrap()
}

fn trained(id: u32, from: u64) -> Dictionary {
    Dictionary::train(id, (from..from + 200).map(sample), 2_048).unwrap()
}

fn layer(dictionaries: &Dictionaries) -> Compress {
    Compress::builder().zstd(3).dictionaries(dictionaries).build().unwrap()
}

fn written(compress: &Compress, at: &Address, n: u64) -> Entry {
    let packed = down(compress, at, NewEntry::new(sample(n), Lifetime::UNLIMITED));
    stored(packed.value, packed.content)
}

#[test]
fn another_dictionary_of_its_id_reads_nothing_wrong() {
    // Two processes that each trained a dictionary, and gave it the same id.
    let (here, there) = (Dictionaries::new(), Dictionaries::new());
    here.add(&space(None), trained(1, 0)).unwrap();
    there.add(&space(None), trained(1, 50_000)).unwrap();
    let (here, there) = (layer(&here), layer(&there));
    for n in 100_000..100_100 {
        let packed = written(&here, &address(None), n);
        assert_eq!(value(up(&here, &address(None), packed.clone())).unwrap(), sample(n));
        if let Ok(read) = value(up(&there, &address(None), packed)) {
            assert_eq!(read, sample(n), "another value");
        }
    }
}

#[test]
fn an_id_means_one_dictionary_within_reach_of_a_space() {
    let (dictionaries, acme) = (Dictionaries::new(), Some("acme"));
    let compress = layer(&dictionaries);
    dictionaries.add_for_all_tenants(trained(1, 0)).unwrap();
    let packed = written(&compress, &address(acme), 7);
    let error = dictionaries.add(&space(acme), trained(1, 5_000)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(error.to_string(), "dictionary id must be free, but 1 was given");
    assert!(dictionaries.add_readable(&space(acme), trained(1, 5_000)).is_err());
    assert_eq!(value(up(&compress, &address(acme), packed)).unwrap(), sample(7), "still what the id means");

    dictionaries.add(&space(acme), trained(2, 5_000)).unwrap();
    assert!(dictionaries.add_for_all_tenants(trained(2, 9_000)).is_err());
    assert!(dictionaries.add_readable_for_all_tenants(trained(2, 9_000)).is_err());
    dictionaries.add_for_all_tenants(trained(2, 5_000)).unwrap();
}

#[test]
fn one_for_all_tenants_is_rolled_out_as_one_of_a_space_is() {
    let (dictionaries, acme) = (Dictionaries::new(), address(Some("acme")));
    let compress = layer(&dictionaries);
    dictionaries.add_readable_for_all_tenants(trained(1, 0)).unwrap();
    assert_eq!(written(&compress, &acme, 7).meta.content.encoding, Encoding::NONE);
    let other = Dictionaries::new();
    other.add_for_all_tenants(trained(1, 0)).unwrap();
    let packed = written(&layer(&other), &acme, 7);
    assert_eq!(packed.meta.content.encoding, Encoding::ZSTD);
    assert_eq!(value(up(&compress, &acme, packed.clone())).unwrap(), sample(7));

    dictionaries.add_for_all_tenants(trained(1, 0)).unwrap();
    assert_eq!(written(&compress, &acme, 7).value, packed.value);
    dictionaries.stop_writing_for_all_tenants();
    assert_eq!(written(&compress, &acme, 7).meta.content.encoding, Encoding::NONE);
    assert_eq!(value(up(&compress, &acme, packed)).unwrap(), sample(7));
}

#[test]
fn the_first_dictionary_may_come_while_a_read_is_under_way() {
    let dictionaries = Dictionaries::new();
    let compress = layer(&dictionaries);
    let Step::Now(Ok((_, asked))) = compress.request(Request::Get(Get::one(address(None)))) else { panic!() };
    dictionaries.add(&space(None), trained(1, 0)).unwrap();
    let found = OneOrMany::One(Ok(Lookup::Hit(written(&compress, &address(None), 7))));
    let Step::Now(Ok(Response::Found(found))) = compress.response(asked, Response::Found(found)) else { panic!() };
    assert_eq!(value(found.into_one().unwrap()).unwrap(), sample(7));
    assert_eq!(compress.stats().rejected_dictionary, 0);
}

#[test]
fn rotation_disturbs_neither_readers_nor_writers() {
    let (dictionaries, space) = (Dictionaries::new(), space(None));
    let compress = layer(&dictionaries);
    let all: Vec<_> = (1..=8).map(|id| trained(id, u64::from(id) * 1_000)).collect();
    dictionaries.add(&space, all[0].clone()).unwrap();
    thread::scope(|scope| {
        for worker in 0..4 {
            let compress = &compress;
            scope.spawn(move || {
                for n in 0..500 {
                    let packed = written(compress, &address(None), worker * 1_000 + n);
                    match value(up(compress, &address(None), packed)) {
                        Ok(read) => assert_eq!(read, sample(worker * 1_000 + n)),
                        Err(error) => assert!(error.to_string().contains("needs dictionary"), "{error}"),
                    }
                }
            });
        }
        for _ in 0..20 {
            for (at, dictionary) in all.iter().enumerate() {
                dictionaries.add(&space, dictionary.clone()).unwrap();
                dictionaries.retire(&space, all[(at + 6) % 8].id());
            }
        }
    });
    let stats = compress.stats();
    assert_eq!((stats.compressed, stats.decompressed + stats.rejected_dictionary), (2_000, 2_000), "{stats:?}");
    assert_eq!((stats.rejected_broken, stats.rejected_bombs), (0, 0), "{stats:?}");
}
