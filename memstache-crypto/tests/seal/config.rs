//! Sealing that configurations choose.

use memstache_core::{
    Cache, Json, MemoryStore, Reason,
    config::{Backend, CacheConfig, ConfigError, Configured, Registry},
};
use memstache_crypto::{CONFIG_EXAMPLE, register};

use crate::kit::keys;

fn build(toml: &str, store: &MemoryStore) -> Result<Configured<Json>, ConfigError> {
    let leaf = store.clone();
    let registry = Registry::new().backend("memory", move |_| Ok(Backend::coherent(leaf.clone())));
    CacheConfig::new().toml(toml).build(&register(registry, keys(1)))
}

fn store() -> MemoryStore {
    MemoryStore::builder().build().unwrap()
}

async fn held(cache: &Cache<Json>, key: &str) -> (bool, usize) {
    let explained = cache.explain(key).await.unwrap();
    let entry = explained.tiers[0].entry.as_ref().unwrap();
    (entry.sealed, entry.bytes)
}

#[test]
fn the_example_lists_every_setting_with_its_default() {
    let (example, plain) =
        (build(CONFIG_EXAMPLE, &store()).unwrap(), build("[seal]\nkind = 'aes-256-gcm'", &store()).unwrap());
    let of = |built: &Configured<Json>| {
        let settings = built.settings().iter().filter(|setting| setting.path.starts_with("seal."));
        settings.map(|it| (it.path.clone(), it.value.clone())).collect::<Vec<_>>()
    };
    assert_eq!((of(&example), of(&example).len()), (of(&plain), 10));
    assert_eq!(example.settings().iter().filter(|setting| setting.source.is_some()).count(), 10);
}

#[tokio::test]
async fn each_kind_seals_and_reads_the_other() {
    let store = store();
    let of = |toml: &str| build(toml, &store).unwrap();
    for kind in ["aes-256-gcm", "chacha20-poly1305"] {
        of(&format!("[seal]\nkind = '{kind}'")).cache("k").unwrap().set(kind, "secret").await.unwrap();
        assert!(held(&of("").cache("k").unwrap(), kind).await.0, "{kind}");
        assert_eq!(of("").cache("k").unwrap().explain(kind).await.unwrap().reason, Some(Reason::Rejected));
    }
    let reader = of("[seal]\nkind = 'aes-256-gcm'").cache("k").unwrap();
    assert_eq!(reader.get::<String>("chacha20-poly1305").await.unwrap().as_deref(), Some("secret"));
    assert_eq!(held(&reader, "chacha20-poly1305").await, (false, 8), "opened on its way up");
    let later = of("[seal]\nkind = 'aes-256-gcm'\ngeneration = 1").cache("k").unwrap();
    assert_eq!(later.get::<String>("aes-256-gcm").await.unwrap(), None);
    assert_eq!(later.explain("aes-256-gcm").await.unwrap().reason, Some(Reason::Rejected));
}

#[tokio::test]
async fn its_settings_do_what_they_say() {
    let store = store();
    let length = async |more: &str| {
        let built = build(&format!("[seal]\nkind = 'aes-256-gcm'\n{more}"), &store).unwrap();
        built.cache("k").unwrap().set("a", &"x".repeat(1000)).await.unwrap();
        held(&build("", &store).unwrap().cache("k").unwrap(), "a").await
    };
    let (sealed, plain) = (length("").await, length("plain = ['k']").await);
    assert!(sealed.0 && !plain.0 && plain.1 == 1002);
    assert_eq!(length("committing = true").await.1, sealed.1 + 32);
    assert!(length("padded = true").await.1 > sealed.1);
    assert!(length("subkeys = 'per-writer'").await.0);
    assert!(!length("plain_by_default = true").await.0);
    assert!(length("plain_by_default = true\nsealed = 'k, other'").await.0);
    let small = build("[seal]\nkind = 'aes-256-gcm'\nmax_value = '1 KiB'", &store).unwrap();
    assert!(small.cache("k").unwrap().set("a", &"x".repeat(2000)).await.is_err());
}

#[test]
fn wrong_settings_are_told_together() {
    let text = "[seal]\nkind = 'aes-256-gcm'\nmax_skew = '2d'\nsubkeys = 'per-year'\nplain = ['a b']\nmax_value = 0\npaded = 1";
    let told = build(text, &store()).unwrap_err().to_string();
    for line in [
        "seal.max_skew must be a time such as \"1m 30s\", from 0 to 1d, but \"2d\" was given",
        "seal.subkeys must be one of per-entry, per-writer, but \"per-year\" was given",
        "seal.plain names no keyspace",
        "seal.max_value must be a size",
        "seal.paded is unknown; did you mean padded?",
    ] {
        assert!(told.contains(line), "{line}: {told}");
    }
}
