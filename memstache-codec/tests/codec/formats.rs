//! What every format keeps to.

use std::collections::{BTreeMap, HashMap};

use memstache_codec::{Blob, Formats, NamedFormat};
use memstache_core::{ErrorKind, Format};
use proptest::{collection::vec, prelude::*};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::common::{Place, Plan, User, noise, user};

/// The formats of typed values that this build has.
fn formats() -> Vec<NamedFormat> {
    let formats = Formats::new();
    formats.names().filter(|name| *name != "raw").map(|name| formats.named(name).unwrap()).collect()
}

fn round_trip<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: &T) {
    for format in formats() {
        let bytes = format.encode(value).unwrap();
        assert_eq!(&format.decode::<T>(&bytes).unwrap(), value, "{format:?}");
        assert_eq!(&format.decode_shared::<T>(&bytes).unwrap(), value, "{format:?}");
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Tree {
    Leaf,
    Node(Box<Self>),
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Unit;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Mixed {
    unit: Unit,
    nested: Option<Option<u8>>,
    map: BTreeMap<String, (i64, char)>,
    table: HashMap<u32, String>,
    bytes: Blob,
    tuple: (u8, i128, f32),
    plans: Vec<Plan>,
    tree: Tree,
    array: [u16; 3],
    nothing: (),
}

#[test]
fn every_kind_of_value() {
    let mixed = |nested| Mixed {
        unit: Unit,
        nested,
        map: [("a".to_owned(), (i64::MIN, '∀')), (String::new(), (0, '\0'))].into(),
        table: [(1, "one".to_owned()), (u32::MAX, "many".to_owned())].into(),
        bytes: Blob::from(vec![0, 255, 7]),
        tuple: (1, -5, 0.5),
        plans: vec![Plan::Free, Plan::Paid { cents: -3 }, Plan::Trial(9)],
        tree: Tree::Node(Box::new(Tree::Node(Box::new(Tree::Leaf)))),
        array: [1, 2, 65_535],
        nothing: (),
    };
    round_trip(&mixed(None));
    // What says null of both levels tells them not apart.
    round_trip(&mixed(Some(Some(3))));
    round_trip(&u64::MAX);
    round_trip(&String::new());
    round_trip(&Vec::<u8>::new());
    round_trip(&Option::<User>::None);
}

fn users() -> impl Strategy<Value = User> {
    let place = ("[a-z ]{0,20}", "\\PC{0,20}", any::<u32>());
    let plan = prop_oneof![
        Just(Plan::Free),
        any::<i64>().prop_map(|cents| Plan::Paid { cents }),
        any::<u16>().prop_map(Plan::Trial)
    ];
    let scalars = (any::<u64>(), any::<bool>(), -1e300..1e300f64);
    (scalars, "\\PC{0,40}", any::<Option<String>>(), vec("[a-z]{0,9}", 0..9), place, vec(any::<u32>(), 0..50), plan)
        .prop_map(|((id, active, score), name, email, tags, (street, city, zip), visits, plan)| User {
            id,
            name,
            email,
            active,
            score,
            tags,
            address: Place { street, city, zip },
            visits,
            plan,
        })
}

proptest! {
    #[test]
    fn any_user_comes_back(user in users()) {
        round_trip(&user);
    }

    #[test]
    fn any_bytes_are_a_value_or_an_error(bytes in vec(any::<u8>(), 0..300)) {
        for format in formats() {
            for error in [
                format.decode::<User>(&bytes).err(),
                format.decode::<Vec<String>>(&bytes).err(),
                format.decode::<BTreeMap<String, Vec<u64>>>(&bytes).err(),
            ].into_iter().flatten() {
                prop_assert_eq!(error.kind(), ErrorKind::Rejected);
                prop_assert!(error.to_string().starts_with("the stored value is not this"));
            }
        }
    }
}

#[test]
fn bytes_that_are_left_over_belong_to_something_else() {
    for format in formats() {
        // A number, the beginnings of lists and maps that are cut off, nothing.
        for more in [b'0', 0x91, 0x81, 0xdc, 0xc0, 0x00, 0xff] {
            let mut bytes = format.encode(&user(1)).unwrap().to_vec();
            bytes.push(more);
            assert_eq!(format.decode::<User>(&bytes).unwrap_err().kind(), ErrorKind::Rejected, "{format:?} {more:#x}");
        }
    }
}

#[test]
fn nesting_is_bounded_and_costs_no_stack() {
    let deep = |depth| (0..depth).fold(Tree::Leaf, |tree, _| Tree::Node(Box::new(tree)));
    for format in formats() {
        let bytes = format.encode(&deep(50)).unwrap();
        assert_eq!(format.decode::<Tree>(&bytes).unwrap(), deep(50), "{format:?}");
        // More than a stack holds, if it were followed.
        let bytes = match format.name() {
            "json" => [&br#"{"Node":"#.repeat(200_000)[..], br#""Leaf""#, &b"}".repeat(200_000)].concat(),
            "message-pack" => [&b"\x81\xa4Node".repeat(200_000)[..], b"\xa4Leaf"].concat(),
            _ => [&[1].repeat(2_000_000)[..], &[0]].concat(),
        };
        assert_eq!(format.decode::<Tree>(&bytes).unwrap_err().kind(), ErrorKind::Rejected, "{format:?}");
    }
}

#[test]
fn elements_that_take_no_bytes_do_not_go_on_for_ever() {
    for format in formats() {
        let few = vec![(); 60_000];
        let bytes = format.encode(&few).unwrap();
        assert_eq!(format.decode::<Vec<()>>(&bytes).unwrap(), few, "{format:?}");
    }
    for (name, bytes) in [
        ("postcard", &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f][..]),
        ("bincode", &[0xfd, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f]),
    ] {
        let Ok(format) = name.parse::<NamedFormat>() else { continue };
        assert_eq!(format.decode::<Vec<()>>(bytes).unwrap_err().kind(), ErrorKind::Rejected, "{name}");
        assert_eq!(format.decode::<Vec<Unit>>(bytes).unwrap_err().kind(), ErrorKind::Rejected, "{name}");
    }
}

/// Says by its length how many elements it has, and counts how many were read.
struct Counting<T>(std::marker::PhantomData<T>);

thread_local!(static READ: std::cell::Cell<usize> = const { std::cell::Cell::new(0) });

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Counting<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        READ.set(READ.get() + 1);
        T::deserialize(deserializer).map(|_| Self(std::marker::PhantomData))
    }
}

#[test]
fn nested_elements_that_take_no_bytes_are_bounded_in_total() {
    type Nested = Vec<Vec<Counting<()>>>;
    type Tables = BTreeMap<u8, Vec<Counting<Unit>>>;
    for name in ["postcard", "bincode"] {
        let Ok(format) = name.parse::<NamedFormat>() else { continue };
        let lists = |count: usize, len: usize| format.encode(&vec![vec![(); len]; count]).unwrap();
        let read = |bytes: &[u8]| {
            READ.set(0);
            (format.decode::<Nested>(bytes).is_ok(), READ.get())
        };
        assert_eq!(read(&lists(60, 1_000)), (true, 60_000), "{name}");
        assert_eq!(read(&lists(1, 65_000)), (true, 65_000), "{name}");
        // Each is allowed by itself. Together they are more than 65,536 and one for each byte.
        for (count, len) in [(2, 40_000), (1_000, 1_000), (2_000, 60_000)] {
            let bytes = lists(count, len);
            let (ok, elements) = read(&bytes);
            assert!(!ok && elements <= 65_536 + bytes.len(), "{name}: {elements} of {count} x {len}");
        }
        let tables: BTreeMap<u8, Vec<()>> = (0..200).map(|n| (n, vec![(); 60_000])).collect();
        let bytes = format.encode(&tables).unwrap();
        READ.set(0);
        assert_eq!(format.decode::<Tables>(&bytes).map(drop).unwrap_err().kind(), ErrorKind::Rejected, "{name}");
        assert!(READ.get() <= 65_536 + bytes.len(), "{name}: {}", READ.get());
    }
}

#[test]
fn elements_that_take_bytes_are_never_too_many() {
    // As many lists and elements as bytes can hold, however they nest.
    let flat = vec![vec![0u8; 1]; 40_000];
    let deep = vec![vec![vec![vec![1u8; 3]; 2]; 3]; 3_000];
    let empty = vec![vec![0u8; 0]; 70_000];
    let table: BTreeMap<u32, Vec<bool>> = (0..10_000).map(|n| (n, vec![true; 2])).collect();
    round_trip(&flat);
    round_trip(&deep);
    round_trip(&empty);
    round_trip(&table);
}

#[test]
fn large_values() {
    // Larger ones: `round_trips`.
    for len in [65_535, 65_536, 1 << 20] {
        let value = Blob::from(noise(len, 3));
        for format in formats() {
            let bytes = format.encode(&value).unwrap();
            assert!(format.decode::<Blob>(&bytes).unwrap() == value, "{format:?} {len}");
        }
    }
}

#[test]
fn names_and_ids_never_change() {
    let formats = Formats::new();
    for (name, id) in [("raw", 0), ("json", 1), ("postcard", 2), ("bincode", 3), ("message-pack", 4)] {
        match formats.named(name) {
            Ok(format) => assert_eq!((format.id().0, format.name()), (id, name)),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Unsupported);
                assert!(error.to_string().contains(&format!("feature `{name}`")), "{error}");
            }
        }
    }
    let error = formats.named("yaml").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let own: Vec<_> = formats.names().skip(5).collect();
    assert!(error.to_string().ends_with("but `yaml` was given"), "{error}");
    assert!(own.iter().all(|name| error.to_string().contains(name)), "{own:?} in {error}");
}
