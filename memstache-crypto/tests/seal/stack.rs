//! Typed handles over sealed stacks.

use std::time::Duration;

use memstache_core::{Cache, ErrorKind, Json, MemoryStore, Request, Response, Stack, Step, Transform};
use memstache_crypto::{BlindNames, Seal};

use crate::kit::{builder, keys, keyspace, seal};

fn cache(seal: &Seal, store: &MemoryStore) -> Cache<Json> {
    let stack = Stack::over(store.clone()).seal(seal.clone()).build();
    Cache::builder(stack).keyspace("users").format(Json).schema("user", 1).build().unwrap()
}

#[tokio::test]
async fn typed_values_are_written_sealed_and_read_open() {
    let (seal, store) = (seal(), MemoryStore::builder().build().unwrap());
    let users = cache(&seal, &store);
    users.set("ada", "lovelace").ttl(Duration::from_secs(60)).await.unwrap();
    assert_eq!(users.get::<String>("ada").await.unwrap().as_deref(), Some("lovelace"));
    let found = users.get_many::<String>(["ada", "bob"]).await.unwrap();
    assert_eq!(found[0].as_ref().unwrap().as_deref(), Some("lovelace"));
    assert_eq!(found[1].as_ref().unwrap(), &None);
    assert_eq!((seal.stats().sealed, seal.stats().opened, seal.stats().rejected()), (1, 2, 0));
}

#[tokio::test]
async fn a_value_of_another_key_is_a_miss_and_is_loaded_anew() {
    let store = MemoryStore::builder().build().unwrap();
    let (old, new) = (builder(keys(1)).0.build().unwrap(), builder(keys(2)).0.build().unwrap());
    cache(&old, &store).set("ada", "old").await.unwrap();
    let users = cache(&new, &store);
    assert_eq!(users.get::<String>("ada").await.unwrap(), None);
    let loaded: String =
        users.get_or_load("ada", |_| async { Ok::<_, std::fmt::Error>("new".to_owned()) }).await.unwrap();
    assert_eq!(loaded, "new");
    assert_eq!(users.get::<String>("ada").await.unwrap().as_deref(), Some("new"));
    assert_eq!(new.stats().rejected_key_unknown, 2, "{:?}", new.stats());
    assert_eq!(new.stats().rejected_key_unknown, new.stats().rejected());
}

#[tokio::test]
async fn blind_names_find_what_they_named() {
    let store = MemoryStore::builder().build().unwrap();
    let stack = Stack::over(store.clone()).seal(seal()).build();
    let names = BlindNames::new(keys(1)).plain(&keyspace("open"));
    let users = Cache::builder(stack).keyspace("users").format(Json).namer(names).build().unwrap();
    users.set("ada", &1).await.unwrap();
    assert_eq!(users.get::<u8>("ada").await.unwrap(), Some(1));
    assert!(users.address("ada").unwrap().is_blind());
    assert!(users.remove("ada").await.unwrap());
    assert_eq!(users.get::<u8>("ada").await.unwrap(), None);
    let open = users.with_keyspace(&keyspace("open"));
    assert!(!open.address("ada").unwrap().is_blind());
}

#[test]
fn what_carries_no_value_passes_and_what_does_not_belong_does_not() {
    let seal = seal();
    let at = crate::kit::home();
    let touch = memstache_core::Touch::one(at.clone(), memstache_core::TouchKind::Slide);
    let (_, pending) = crate::kit::asked(&seal, touch.into());
    let touched = Response::Touched(memstache_core::OneOrMany::One(Ok(true)));
    assert!(matches!(seal.response(pending, touched), Step::Now(Ok(Response::Touched(_)))));
    // A store that answers values to a touch, or removals to a read.
    let remove: Request = memstache_core::Remove::one(at.clone()).into();
    let (_, pending) = crate::kit::asked(&seal, remove);
    let found = Response::Found(memstache_core::OneOrMany::One(Ok(memstache_core::Lookup::Miss)));
    let error = crate::kit::now(seal.response(pending, found)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    let (_, pending) = crate::kit::asked(&seal, crate::kit::get(&[at]));
    let few = Response::Found(memstache_core::OneOrMany::Many(Vec::new()));
    assert_eq!(crate::kit::now(seal.response(pending, few)).unwrap_err().kind(), ErrorKind::Protocol);
}
