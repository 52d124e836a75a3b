//! Canaries: keys, values, names and tenants show up in no log, error, panic or `Debug`.

use std::{
    fmt::Write as _,
    sync::{Arc, Mutex, PoisonError},
};

use memstache_core::{
    Cache, Json, Lookup, MemoryStore, Parts, Request, Stack, TenantId, Transform,
    observe::{ObserveLayer, Registry},
};
use memstache_crypto::{
    BlindNames, DataKey, DataKeys, FixedKeys, KeyFailure, KeyId, NameKey, Seal, Secret, SystemRandom,
};

use crate::{
    kit::{address, answer, builder, down, entry, get, kept, keyspace, set, up},
    log::{self, Log},
};

const VALUE: &str = "canary-of-the-value";
const NAME: &str = "canary-of-the-name";
const TENANT: &str = "canary-of-the-tenant";
const KEY: [u8; 32] = *b"canary-of-the-key-0123456789abcd";

#[track_caller]
fn assert_clean(text: &str) {
    log::assert_clean(text, &[VALUE.as_bytes(), NAME.as_bytes(), TENANT.as_bytes(), &KEY]);
}

fn secret() -> Secret {
    Secret::from_bytes(KEY)
}

#[test]
fn no_type_shows_a_secret() {
    let keys = FixedKeys::dangerous_one_for_all(secret());
    let builder = Seal::builder(keys.clone());
    let at = address(TENANT, "users", NAME);
    let mut shown = String::new();
    write!(shown, "{:?} {keys:?} {builder:?}", secret()).unwrap();
    let seal = builder.build().unwrap();
    let stored = down(&seal, &at, entry(VALUE)).unwrap();
    write!(shown, "{seal:?} {stored:?} {:?}", up(&seal, &at, stored.clone())).unwrap();
    write!(shown, "{:?} {:?}", DataKey::new(secret()), NameKey::new(secret())).unwrap();
    write!(shown, "{:?} {:?}", keys.sealing(&at.space()), keys.opening(&at.space(), KeyId::of(&secret()))).unwrap();
    write!(shown, "{:?} {:?}", BlindNames::new(keys), SystemRandom::new()).unwrap();
    write!(shown, "{:?}", seal.request(get(std::slice::from_ref(&at)))).unwrap();
    write!(shown, "{:?}", seal.request(set(vec![(at, entry(VALUE))]))).unwrap();
    for failure in [KeyFailure::Unknown, KeyFailure::Unavailable { retry_after: None }] {
        write!(shown, "{failure:?} {}", failure.as_str()).unwrap();
    }
    assert!(shown.contains("Secret(..)") && shown.contains("DataKey"));
    assert_clean(&shown);
}

#[test]
fn no_log_error_or_panic_shows_a_secret() {
    let log = Log::default();
    let panics = Arc::new(Mutex::new(String::new()));
    let sink = Arc::clone(&panics);
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        sink.lock().unwrap_or_else(PoisonError::into_inner).push_str(&info.to_string());
    }));
    let errors = tracing::subscriber::with_default(log.clone(), go_wrong);
    std::panic::set_hook(usual);
    let (log, panics) = (log.text(), panics.lock().unwrap());
    assert!(log.contains("reason=\"tag\"") && log.contains("reason=\"downgrade\""), "{log}");
    assert_eq!(*panics, "", "nothing panics");
    assert_clean(&log);
    assert_clean(&errors);
}

/// Everything that goes wrong, and what it says.
fn go_wrong() -> String {
    let seal = Seal::builder(FixedKeys::dangerous_one_for_all(secret())).max_value(1_000).build().unwrap();
    let none = Seal::builder(FixedKeys::dangerous_per_tenant([]).unwrap()).build().unwrap();
    let at = address(TENANT, "users", NAME);
    let stored = down(&seal, &at, entry(VALUE)).unwrap();
    let mut said = String::new();
    let mut say = |error: &memstache_core::Error| writeln!(said, "{error} {error:?}").unwrap();
    for bit in 0..8 * stored.value.len() {
        let mut bytes = stored.value.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        say(&up(&seal, &at, memstache_core::NewEntry { value: bytes.into(), ..stored.clone() }).unwrap_err());
    }
    say(&up(&seal, &at, entry(VALUE)).unwrap_err());
    say(&up(&none, &at, stored.clone()).unwrap_err());
    say(&down(&none, &at, entry(VALUE)).unwrap_err());
    say(&down(&seal, &at, stored.clone()).unwrap_err());
    say(&down(&seal, &at, entry(VALUE.repeat(1_000))).unwrap_err());
    let mut asks = entry(VALUE);
    asks.options.encrypt = Some(false);
    say(&down(&seal, &at, asks).unwrap_err());
    say(&answer(&seal, &at, Lookup::Negative(kept(stored).meta)).unwrap_err());
    let names = BlindNames::new(FixedKeys::dangerous_per_tenant([]).unwrap()).plain(&keyspace("open"));
    let space = at.space();
    say(&Parts::new(&space, NAME.as_bytes()).unwrap().to_address(&names).unwrap_err());
    let (Request::Get(_), _) = crate::kit::asked(&seal, get(&[at])) else { panic!() };
    said
}

#[tokio::test]
async fn no_metric_shows_a_secret() {
    let (registry, keys) = (Registry::new(), FixedKeys::dangerous_one_for_all(secret()));
    let recorder = registry.recorder("users").unwrap();
    let (seal, clock) = builder(keys.clone());
    let store = MemoryStore::builder().clock(clock.clone()).build().unwrap();
    let cache = |keys: FixedKeys, seal: Seal| {
        let stack = Stack::over(store.clone()).seal(seal).observe(ObserveLayer::new(recorder.clone())).build();
        let cache =
            Cache::builder(stack).keyspace("users").format(Json).namer(BlindNames::new(keys)).clock(clock.clone());
        let cache = cache.recorder(recorder.clone()).build_tenanted().unwrap();
        cache.for_tenant(&TenantId::new(TENANT).unwrap())
    };
    let users = cache(keys.clone(), seal.build().unwrap());
    users.set(NAME, VALUE).await.unwrap();
    assert_eq!(users.get::<String>(NAME).await.unwrap().as_deref(), Some(VALUE));
    let others = FixedKeys::dangerous_one_for_all(Secret::from_bytes([9; 32]));
    let wrong = cache(keys, builder(others).0.build().unwrap());
    assert_eq!(wrong.get::<String>(NAME).await.unwrap(), None, "a value that does not open");
    let text = registry.prometheus_text();
    for counted in ["memstache_requests_total", "memstache_rejected_total", "memstache_operation_duration_seconds"] {
        assert!(text.contains(counted), "{counted} in {text}");
    }
    assert_clean(&text);
}
