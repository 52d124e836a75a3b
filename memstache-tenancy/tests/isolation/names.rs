//! Where entries are stored.

use std::{collections::HashMap, sync::Arc};

use memstache_core::{KeyspaceName, Namer, Parts, PlainNamer, Space, TenantId};
use memstache_crypto::{BlindNames, FixedKeys, Secret};
use proptest::prelude::*;

use crate::kit::keys;

/// A tenant (empty: the shared space), a keyspace, a name.
type Place = (String, String, Vec<u8>);

/// Any place; its name is made of what separates, delimits and ends.
fn place() -> impl Strategy<Value = Place> {
    let byte = prop_oneof![
        4 => prop::sample::select(b":{}\0.-_a\xff".to_vec()),
        1 => any::<u8>(),
    ];
    ("[a-b._-]{0,3}", "[a-b._-]{1,3}", prop::collection::vec(byte, 1..6))
}

/// One text, cut into places at all its colons: what is alike unless the cuts count.
fn cuts(text: &str) -> Vec<Place> {
    let colons: Vec<_> = text.match_indices(':').map(|(at, _)| at).collect();
    let mut places = Vec::new();
    for (n, first) in colons.iter().enumerate() {
        for second in &colons[n + 1..] {
            places.push((&text[..*first], &text[first + 1..*second], &text[second + 1..]));
        }
        // Names hold colons, too.
        places.push(("", &text[..*first], &text[first + 1..]));
    }
    let good = |(tenant, keyspace, name): &(&str, &str, &str)| {
        !tenant.contains(':') && !keyspace.contains(':') && !keyspace.is_empty() && !name.is_empty()
    };
    let owned = |(tenant, keyspace, name): (&str, &str, &str)| (tenant.into(), keyspace.into(), name.into());
    places.into_iter().filter(good).map(owned).collect()
}

fn stored(namer: &impl Namer, (tenant, keyspace, name): &Place) -> Arc<[u8]> {
    let tenant = (!tenant.is_empty()).then(|| TenantId::new(tenant).unwrap());
    let space = Space::new(tenant.as_ref(), &KeyspaceName::new(keyspace).unwrap());
    Parts::new(&space, name).unwrap().to_address(namer).unwrap().stored().clone()
}

/// Checks that places are apart in each form that stores may see.
fn are_apart(places: &[Place]) -> Result<(), TestCaseError> {
    fn check(namer: &impl Namer, places: &[Place]) -> Result<(), TestCaseError> {
        let mut taken: HashMap<Arc<[u8]>, &Place> = HashMap::new();
        for place in places {
            let other = *taken.entry(stored(namer, place)).or_insert(place);
            prop_assert_eq!(other, place, "two places share a stored key");
        }
        Ok(())
    }
    check(&PlainNamer::default(), places)?;
    check(&BlindNames::new(keys()), places)?;
    // Two tenants that brought the same secret.
    let tenants: std::collections::HashSet<_> = places.iter().map(|place| &place.0).collect();
    let tenants = tenants.into_iter().filter(|tenant| !tenant.is_empty());
    let secrets = tenants.map(|tenant| (TenantId::new(tenant).unwrap(), Secret::from_bytes([3; 32])));
    let owned: Vec<_> = places.iter().filter(|place| !place.0.is_empty()).cloned().collect();
    check(&BlindNames::new(FixedKeys::dangerous_brought_by_tenants(secrets).unwrap()), &owned)
}

proptest! {
    #[test]
    fn no_two_places_share_a_stored_key(places in prop::collection::vec(place(), 2..12)) {
        are_apart(&places)?;
    }

    #[test]
    fn no_two_cuts_of_one_text_share_a_stored_key(text in "[a-b:]{4,12}") {
        are_apart(&cuts(&text))?;
    }

    #[test]
    fn the_same_place_is_always_stored_under_the_same_key(place in place()) {
        prop_assert_eq!(stored(&PlainNamer::default(), &place), stored(&PlainNamer::default(), &place));
        prop_assert_eq!(stored(&BlindNames::new(keys()), &place), stored(&BlindNames::new(keys()), &place));
    }
}

#[test]
fn cuts_are_what_they_are_said_to_be() {
    let cuts = cuts("a:b:c");
    assert_eq!(cuts.len(), 2, "{cuts:?}");
    assert!(cuts.contains(&("a".into(), "b".into(), b"c".to_vec())));
    assert!(cuts.contains(&(String::new(), "a".into(), b"b:c".to_vec())));
}
