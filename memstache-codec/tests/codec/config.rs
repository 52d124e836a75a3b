//! Formats and compression that configurations choose by name.

use std::collections::BTreeMap;

use memstache_codec::{CONFIG_EXAMPLE, NamedFormat, register};
use memstache_core::{
    FormatId, MemoryStore, Reason,
    config::{Backend, CacheConfig, ConfigError, Configured, Registry},
};

fn build(toml: &str) -> Result<Configured<NamedFormat>, ConfigError> {
    CacheConfig::new().toml(toml).build(&register(Registry::new()))
}

fn wrong(toml: &str) -> String {
    build(toml).unwrap_err().to_string()
}

/// What stands in `[compression]`, by path.
fn listed(built: &Configured<NamedFormat>) -> BTreeMap<String, (String, String)> {
    let settings = built.settings().iter().filter(|setting| setting.path.starts_with("compression."));
    settings.map(|it| (it.path.clone(), (it.value.clone(), it.default.clone()))).collect()
}

#[test]
fn the_example_lists_every_setting_with_its_default() {
    let (example, zstd) = (build(CONFIG_EXAMPLE).unwrap(), build("[compression]\nkind = 'zstd'").unwrap());
    assert_eq!(listed(&example), listed(&zstd));
    assert_eq!(listed(&example).len(), 7);
    let here = |built: &Configured<_>| built.settings().iter().filter(|setting| setting.source.is_some()).count();
    assert_eq!(here(&example), 7, "each stands in the file");
}

#[tokio::test]
async fn each_kind_writes_what_read_only_reads() {
    let store = MemoryStore::builder().build().unwrap();
    let leaf = store.clone();
    let registry = register(Registry::new().backend("shared", move |_| Ok(Backend::coherent(leaf.clone()))));
    let of = |kind: &str| {
        let toml = format!("[backend]\nkind = 'shared'\n[compression]\nkind = '{kind}'");
        CacheConfig::new().toml(&toml).build(&registry).unwrap().cache("k").unwrap()
    };
    let value = "tea ".repeat(1000);
    for kind in ["zstd", "lz4", "gzip"] {
        of(kind).set(kind, &value).await.unwrap();
        assert_eq!(of("read-only").get::<String>(kind).await.unwrap().as_ref(), Some(&value), "{kind}");
        let unopened = of("none").explain(kind).await.unwrap();
        assert_eq!(unopened.reason, Some(Reason::Rejected), "{kind}: nobody opens it");
        assert!(unopened.tiers[0].entry.as_ref().unwrap().bytes < 1000, "{kind}: {unopened}");
    }
    of("read-only").set("plain", &value).await.unwrap();
    assert_eq!(of("none").get::<String>("plain").await.unwrap(), Some(value));
}

#[tokio::test]
async fn formats_are_chosen_by_name_and_json_is_the_default() {
    let formats =
        [("json", FormatId::JSON), ("postcard", FormatId::POSTCARD), ("message-pack", FormatId::MESSAGE_PACK)];
    for (name, id) in formats {
        let cache = build(&format!("[cache]\nformat = '{name}'")).unwrap().cache("k").unwrap();
        cache.set("a", &(1u8, "x")).await.unwrap();
        assert_eq!(cache.get::<(u8, String)>("a").await.unwrap(), Some((1, "x".to_owned())));
        assert_eq!(cache.explain("a").await.unwrap().tiers[0].entry.as_ref().unwrap().format, id, "{name}");
    }
    let settings = build("").unwrap();
    let format = settings.settings().iter().find(|setting| setting.path == "cache.format").unwrap();
    assert_eq!(format.value, "\"json\"");
    assert!(wrong("[cache]\nformat = 'yaml'").contains("cache.format must be one of json, postcard"));
}

#[test]
fn wrong_settings_are_told_together() {
    let told =
        wrong("[compression]\nkind = 'zstd'\nlevel = 20\nmin_saving = 2\nmax_plain = 0\nthreshold = 'x'\nlevle = 1");
    for line in [
        "compression.level must be a number from -7 to 19, but 20 was given",
        "compression.min_saving must be a number from 0 to 1, but 2 was given",
        "compression.max_plain must be a size",
        "compression.threshold must be a size",
        "compression.levle is unknown; did you mean level?",
    ] {
        assert!(told.contains(line), "{line}: {told}");
    }
    assert!(wrong("[compression]\nkind = 'gzip'\nlevel = 2.5").contains("compression.level must be a whole number"));
    assert!(wrong("[compression]\nkind = 'lz4'\nlevel = 2").contains("compression.level is unknown"));
    let less = wrong("[compression]\nkind = 'lz4'\nmax_plain_per_call = 1");
    assert!(less.contains("compression.max_plain_per_call must be at least max_plain, 67108864"), "{less}");
    assert!(wrong("[compression]\nkind = 'brotli'").contains("one of none, gzip, lz4, read-only, zstd"));
}
