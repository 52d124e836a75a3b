//! Stacks that are made of configurations, and what is told of those that are wrong.

use std::{
    collections::BTreeMap,
    io::Write as _,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use memstache_core::{
    Clock, Condition, Error, ErrorKind, Fifo, Format, FormatId, Json, MemoryStore, Outcome, PartHealth, Result,
    SystemClock,
    config::{Backend, CacheConfig, ConfigError, Configured, EXAMPLE, Place, PlacedLayer, Registry, Setting},
    testing::{ManualClock, NaiveStore, Recorder},
};
use serde::{Serialize, de::DeserializeOwned};

fn build(toml: &str) -> Result<Configured<Json>, ConfigError> {
    CacheConfig::new().toml(toml).build(&Registry::new())
}

/// What is told of each path.
fn told(config: &CacheConfig) -> Vec<String> {
    let error = config.build(&Registry::new()).map(drop).expect_err("it is wrong");
    error.problems().iter().map(ToString::to_string).collect()
}

fn by_path(settings: &[Setting]) -> BTreeMap<&str, &Setting> {
    settings.iter().map(|setting| (setting.path.as_str(), setting)).collect()
}

#[test]
fn the_example_lists_every_setting_with_its_default() {
    let (nothing, example) = (build("").unwrap(), build(EXAMPLE).unwrap());
    let (nothing, example) = (by_path(nothing.settings()), by_path(example.settings()));
    assert!(nothing.len() > 30, "{}", nothing.len());
    assert_eq!(nothing.keys().collect::<Vec<_>>(), example.keys().collect::<Vec<_>>());
    for (path, setting) in example {
        assert_eq!(setting.value, setting.default, "{path}");
        assert_eq!(setting.value, nothing[path].value, "{path}");
        assert!(setting.source.is_some(), "{path} is missing in the example");
        assert!(!setting.limits.is_empty() && nothing[path].source.is_none());
    }
}

#[test]
fn everything_that_is_wrong_is_told_at_once_with_its_limits_and_source() {
    let text = r#"
        [cache]
        format = "jsno"
        ttl = 5
        jitter = 1.5
        keep_loading = "perhaps"
        [backend]
        max_bytes = "12 KiB"
        max_leases = 0
        policy = "mru"
        [near]
        max_bytes = 17
        [timeout]
        kind = "attempt"
        limit = "2y"
    "#;
    let variables = [
        ("MEMSTACHE_CACHE__LOAD_TIMEOUT".to_owned(), "0".to_owned()),
        ("memstache_ignored".to_owned(), "other case of the prefix".to_owned()),
    ];
    let config = CacheConfig::new().toml(text).set("cache.refresh_ahead", 7.0).variables("MEMSTACHE_", variables);
    let told = told(&config);
    let origin = |at: usize, what: &str| {
        let (_, origin) = told[at].rsplit_once('(').unwrap();
        assert!(origin.starts_with(&format!("{what} at memstache-core/tests/stacks/config.rs:")), "{origin}");
        origin.trim_end_matches(')').to_owned()
    };
    let (text, code) = (origin(0, "text given"), origin(3, "code"));
    let lives = r#"a time such as "1m 30s", from 1ms to 3650d"#;
    let expected = [
        format!(r#"cache.format must be one of json, but "jsno" was given ({text})"#),
        format!("cache.ttl must be {lives}, but 5 was given ({text})"),
        format!("cache.jitter must be a number from 0 to 1, but 1.5 was given ({text})"),
        format!("cache.refresh_ahead must be a number from 0.001 to 1, but 7 was given ({code})"),
        r#"cache.load_timeout must be a time such as "1m 30s", from 1ms to 1d, but "0" was given (environment variable MEMSTACHE_CACHE__LOAD_TIMEOUT)"#.to_owned(),
        format!(r#"cache.keep_loading must be true or false, but "perhaps" was given ({text})"#),
        format!(r#"backend.max_bytes must be a size such as "64 MiB", at least 64 KiB, but "12 KiB" was given ({text})"#),
        format!("backend.max_leases must be a whole number from 1 to 4294967295, but 0 was given ({text})"),
        format!(r#"backend.policy must be one of fifo, lfu, lru, random, s3-fifo, sieve, time-based, tiny-lfu, but "mru" was given ({text})"#),
        format!(r#"near.max_bytes must be a size such as "64 MiB", at least 64 KiB, but 17 was given ({text})"#),
        format!(r#"timeout.limit must be a time such as "1m 30s", from 1ms to 1h, but "2y" was given ({text})"#),
    ];
    assert_eq!(told, expected);
}

#[test]
fn unknown_names_are_told_with_what_was_meant_or_known() {
    let told = told(&CacheConfig::new().toml(
        r#"
        colour = "red"
        [cahce]
        ttl = "1s"
        [backend]
        kind = "redsi"
        anything = 1
        [near]
        max_byte = "1 MiB"
        shade = "dark"
        [seal]
        kind = "aes"
    "#,
    ));
    let contains = |text: &str| assert!(told.iter().any(|line| line.contains(text)), "{text}: {told:#?}");
    contains("cahce is unknown; did you mean cache?");
    contains("colour is unknown; known are cache, keyspaces, backend, near, observe, quota, limit, compression");
    contains(r#"backend.kind must be one of memory, but "redsi" was given"#);
    contains("near.max_byte is unknown; did you mean max_bytes?");
    contains("near.shade is unknown; known are max_bytes, policy, on_degraded");
    contains(r#"seal.kind must be one of none, but "aes" was given"#);
    assert!(!told.iter().any(|line| line.contains("red\"") || line.contains("anything")), "{told:#?}");
}

#[test]
fn secrets_and_unknown_values_are_shown_nowhere() {
    let registry = Registry::new().backend("locked", |section| {
        assert_eq!(section.path(), "backend");
        let password = section.secret("password");
        if password.as_deref() == Some("hunter2") {
            section.refuse("password", "must not be in every list of passwords");
        }
        let _ = (section.optional_text("user"), section.texts("hosts", &["localhost"]));
        Err(Error::new(ErrorKind::Invalid, "there is no lock"))
    });
    let text = "[backend]\nkind = 'locked'\npassword = 'hunter2'\npasswort = 'hunter3'\nhosts = ['a', 'b']\nuser = 7";
    let config = CacheConfig::new().toml(text);
    let error = config.build(&registry).unwrap_err();
    let none = CacheConfig::new().toml("[backend]\nkind = 'locked'\nuser = 'none'").build(&registry).unwrap_err();
    assert_eq!(none.problems().len(), 1, "none unsets a text: {none}");
    let shown = format!("{error} {error:?} {config:?} {}", Error::from(error.clone()));
    assert!(!shown.contains("hunter"), "{shown}");
    for told in [
        "backend.password must not be in every list",
        "backend.passwort is unknown; did you mean password?",
        "backend cannot be used: there is no lock",
        "backend.user must be a text, but 7 was given",
    ] {
        assert!(shown.contains(told), "{told}: {shown}");
    }
    assert_eq!(Error::from(error).kind(), ErrorKind::Invalid);
    let wrong_type = CacheConfig::new().toml("[backend]\nkind = 'locked'\npassword = 123456");
    let shown = wrong_type.build(&registry).unwrap_err().to_string();
    assert!(shown.contains("backend.password must be a text, but something else was given"), "{shown}");
    assert!(!shown.contains("123456"));
}

#[test]
fn sources_that_cannot_be_read_are_told_without_what_stands_in_them() {
    let broken = told(&CacheConfig::new().toml("[backend]\npassword = hunter2\n").set("near.max_bytes", 1));
    assert_eq!(broken.len(), 2, "and everything else: {broken:#?}");
    assert!(broken[0].starts_with("the text is no TOML: ") && broken[0].contains("in line 2, column"), "{broken:?}");
    assert!(broken[0].contains("(text given at memstache-core/tests/stacks/config.rs:"), "{broken:?}");
    assert!(!broken[0].contains("hunter2"), "{broken:?}");

    let missing = told(&CacheConfig::new().file("/nowhere/cache.toml"));
    assert_eq!(missing, ["/nowhere/cache.toml cannot be opened: entity not found"]);

    let folder = std::env::temp_dir().join(format!("memstache-config-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("cache.toml");
    let mut file = std::fs::File::create(&path).unwrap();
    writeln!(file, "[cache]\nttl = \"1 fortnight\"").unwrap();
    let wrong = told(&CacheConfig::new().file(&path));
    assert!(wrong[0].ends_with(&format!("({})", path.display())), "{wrong:?}");
    for _ in 0..20 {
        file.write_all(&[b'\n'; 1 << 16]).unwrap();
    }
    assert!(told(&CacheConfig::new().file(&path))[0].ends_with("must be at most 1048576 bytes long"));
    std::fs::remove_dir_all(&folder).unwrap();

    let twice = |name: &str| (name.to_owned(), "1".to_owned());
    let both = told(&CacheConfig::new().variables("X_", [twice("X_CACHE__TTL"), twice("X_CACHE")]));
    assert!(both[0].starts_with("X_CACHE is set beside another variable"), "{both:?}");
    let section = told(&CacheConfig::new().toml("cache = 3\nkeyspaces = 4"));
    assert!(section[0].starts_with("cache must be a section with settings (text given at"), "{section:?}");
    assert!(section[1].starts_with("keyspaces must be sections, one for each keyspace"), "{section:?}");
}

#[test]
fn settings_that_do_not_agree_are_told() {
    let told = told(&CacheConfig::new().toml(
        r#"
        [cache]
        ttl = "1s"
        sliding = "2s"
        error_backoff = "5m"
        [keyspaces."bad name"]
        [keyspaces.good]
        ttl = "0"
        [backend]
        shards = 3
    "#,
    ));
    assert!(
        told[0].starts_with("cache.sliding must be at most the ttl (1s), but 2s was given (text given at"),
        "{told:#?}"
    );
    assert!(told.iter().any(|line| line.starts_with("keyspaces.bad name names no keyspace")), "{told:#?}");
    assert!(told.iter().any(|line| line.starts_with("keyspaces.good.ttl must be")), "{told:#?}");
    let shards = "backend.shards must be a power of two, but 3 was given (text given at";
    assert!(told.iter().any(|line| line.starts_with(shards)), "{told:#?}");
    let backoff = build("[cache]\nerror_backoff = \"5m\"").unwrap_err().to_string();
    assert!(
        backoff.contains("cache.error_backoff must be at most error_backoff_max (1m), but 5m was given"),
        "{backoff}"
    );
}

#[tokio::test]
async fn variables_come_after_files_and_code_where_it_is_put() {
    let variables = [
        ("MEMSTACHE_CACHE__TTL".to_owned(), "2m".to_owned()),
        ("MEMSTACHE_Near__Max_Bytes".to_owned(), "1MiB".to_owned()),
    ];
    let config = CacheConfig::new()
        .toml("[cache]\nttl = '1m'\njitter = 0.5\n[backend]\nmax_bytes = 16_777_216")
        .variables("MEMSTACHE_", variables)
        .set("cache.jitter", 0.0)
        .merge(("backend.policy", "sieve"));
    let built = config.build(&Registry::new()).unwrap();
    let cache = built.cache("k").unwrap();
    cache.set("a", &1).await.unwrap();
    let fresh = cache.explain("a").await.unwrap().tiers[1].entry.as_ref().unwrap().fresh_for.unwrap();
    assert!(fresh > Duration::from_secs(119) && fresh <= Duration::from_secs(120), "{fresh:?}");
    let settings = by_path(built.settings());
    assert_eq!(settings["backend.max_bytes"].value, "\"16 MiB\"");
    assert_eq!(settings["near.max_bytes"].source.as_deref(), Some("environment variable MEMSTACHE_Near__Max_Bytes"));
    assert_eq!(
        (settings["backend.policy"].value.as_str(), settings["cache.jitter"].value.as_str()),
        ("\"sieve\"", "0.0")
    );
    assert!(built.near().is_some() && format!("{built:?}").contains("cache.ttl"));
}

#[tokio::test]
async fn a_keyspace_has_what_it_does_not_say_from_the_cache() {
    let clock = ManualClock::new();
    let toml = r#"
        [cache]
        ttl = "10s"
        stale_for = "5s"
        [keyspaces.long]
        ttl = "1h"
        [keyspaces.endless]
        ttl = "none"
        stale_for = "0"
    "#;
    let built = CacheConfig::new().toml(toml).clock(clock.clone()).build(&Registry::new()).unwrap();
    for (keyspace, fresh_for, grace) in [("any", Some(10), 5), ("long", Some(3600), 5), ("endless", None, 0)] {
        let cache = built.cache(keyspace).unwrap();
        cache.set("a", &1).await.unwrap();
        let explained = cache.explain("a").await.unwrap();
        let entry = explained.tiers[0].entry.clone().unwrap();
        assert_eq!(entry.fresh_for, fresh_for.map(Duration::from_secs), "{keyspace}");
        let served = entry.served_for.zip(entry.fresh_for).map_or(0, |(served, fresh)| (served - fresh).as_secs());
        assert_eq!(served, grace, "{keyspace}");
    }
    let listed: Vec<_> = built.settings().iter().filter(|it| it.path.starts_with("keyspaces")).collect();
    assert_eq!(listed.len(), 3, "only what they say themselves");
    let tenant = memstache_core::TenantId::new("acme").unwrap();
    assert!(built.tenanted("long").unwrap().for_tenant(&tenant).get::<u8>("a").await.unwrap().is_none());
    assert_eq!(built.cache("no good name").unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn no_setting_of_a_handle_does_nothing() {
    let plain = build("").unwrap().cache("k").unwrap();
    let others = [
        ("ttl", "'1m'"),
        ("sliding", "'1m'"),
        ("stale_for", "'1m'"),
        ("jitter", "0.5"),
        ("negative_ttl", "'1m'"),
        ("max_staleness", "'1m'"),
        ("refresh_ahead", "0.5"),
        ("early_refresh", "2"),
        ("store_timeout", "'1m'"),
        ("load_timeout", "'1m'"),
        ("soft_timeout", "'1m'"),
        ("hard_timeout", "'1m'"),
        ("keep_loading", "true"),
        ("max_loads", "3"),
        ("refresh_pause", "'1m'"),
    ];
    for (name, value) in others {
        let changed = build(&format!("[cache]\n{name} = {value}")).unwrap().cache("k").unwrap();
        assert_ne!(format!("{plain:?}"), format!("{changed:?}"), "{name}");
    }
}

#[test]
fn the_bound_of_loads_is_configured_and_checked() {
    let cache = build("[cache]\nmax_loads = 7\n[keyspaces.k]\nmax_loads = 3").unwrap().cache("k").unwrap();
    let loads = cache.health().part("loads").unwrap().to_string();
    assert!(loads.contains("max_loads 3"), "{loads}");
    let told = told(&CacheConfig::new().toml("[cache]\nmax_loads = 0"));
    let [told] = told.as_slice() else { panic!("{told:?}") };
    assert!(told.starts_with("cache.max_loads must be a whole number from 1 to 1048576, but 0 was given"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn error_backoff_is_configured() {
    let built = build("[cache]\nerror_backoff = \"1m\"\nerror_backoff_max = '2m'").unwrap();
    let cache = built.cache("k").unwrap();
    let loads = Arc::new(AtomicUsize::new(0));
    for _ in 0..3 {
        let loads = Arc::clone(&loads);
        let load = move |_| async move {
            loads.fetch_add(1, SeqCst);
            Err::<u8, _>(std::io::Error::other("broken"))
        };
        assert_eq!(cache.get_or_load("a", load).await.unwrap_err().kind(), ErrorKind::Load);
    }
    assert_eq!(loads.load(SeqCst), 1);
}

#[test]
fn no_setting_of_the_memory_backend_does_nothing() {
    let of = |text: &str| build(&format!("[backend]\n{text}")).unwrap();
    let max = |built: &Configured<Json>| built.service().health().part("memory").unwrap().to_string();
    assert!(
        max(&of("max_bytes = '1 MiB'\nshards = 1\nmax_leases = 9"))
            .contains("max_bytes 1048576, leases 0, max_leases 9")
    );
    for wrong in [
        "lease_ttl = '0'",
        "max_tag_records = 0",
        "event_capacity = 0",
        "shards = 0",
        "max_bytes = '1 MiB'\nshards = 64",
    ] {
        assert!(build(&format!("[backend]\n{wrong}")).is_err(), "{wrong}");
    }
}

#[tokio::test]
async fn what_is_registered_is_chosen_by_name() {
    /// JSON under a number of its own.
    #[derive(Clone, Debug)]
    struct Numbered(u8);

    impl Format for Numbered {
        fn id(&self) -> FormatId {
            FormatId(FormatId::FIRST_OWN.0 + self.0)
        }
        fn encode<T: Serialize + ?Sized>(&self, value: &T) -> Result<Bytes> {
            Json.encode(value)
        }
        fn decode<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T> {
            Json.decode(bytes)
        }
    }

    let (recorder, made) = (Recorder::new(), Arc::new(AtomicUsize::new(0)));
    let (layer, counted) = (recorder.clone(), Arc::clone(&made));
    let clock = ManualClock::new();
    let registry = Registry::new()
        .formats(["one", "two"], |name| match name {
            "one" => Ok(Numbered(1)),
            "two" => Ok(Numbered(2)),
            _ => Err(Error::invalid("format", "one or two", "another")),
        })
        .policy("counted", move |_| {
            counted.fetch_add(1, SeqCst);
            Fifo::new()
        })
        .backend("naive", |section| Ok(Backend::coherent_store(NaiveStore::new(section.clock()))))
        .backend("plain", |section| Ok(Backend::store(NaiveStore::new(section.clock()))))
        .layer(Place::Retry, "recorded", move |section| {
            let name = section.text("name", "recorder");
            assert!(section.flag("loud", true) && section.number("scale", 1.0, 0.0..=2.0) > 0.5);
            Ok(PlacedLayer::new(layer.clone()).watch(move || PartHealth::healthy("recorder").degraded(name.clone())))
        })
        .layer(Place::Quota, "broken", |_| Err(Error::new(ErrorKind::Unsupported, "it is not built in")));
    let toml = "[cache]\nformat = 'two'\n[backend]\nkind = 'naive'\n[near]\nmax_bytes = '1 MiB'\npolicy = 'counted'\n\
                [retry]\nkind = 'recorded'\nname = 'it listens'";
    let built = CacheConfig::new().toml(toml).clock(clock.clone()).build(&registry).unwrap();
    assert!(made.load(SeqCst) > 0, "the near cache has this policy");
    let cache = built.cache("k").unwrap();
    cache.set("a", &1).await.unwrap();
    assert_eq!(cache.get::<u8>("a").await.unwrap(), Some(1));
    assert_eq!(cache.get::<u8>("a").await.unwrap(), Some(1));
    recorder.assert_calls("get", 1);
    let explained = cache.explain("a").await.unwrap();
    assert_eq!((explained.outcome, explained.tier.as_deref()), (Some(Outcome::Hit), Some("near")));
    assert_eq!(explained.tiers[0].entry.as_ref().unwrap().format, Numbered(2).id());
    let health = cache.health();
    let names: Vec<_> = health.parts.iter().map(|part| part.part.as_ref()).collect();
    assert_eq!((names, health.condition), (vec!["near", "recorder", "store", "loads"], Condition::Degraded));

    let wrong = |toml: &str| CacheConfig::new().toml(toml).build(&registry).unwrap_err().to_string();
    let unheard = wrong("[backend]\nkind = 'plain'\n[near]\nmax_bytes = '1 MiB'");
    assert!(unheard.contains("near.max_bytes must be none: the backend does not tell what changes in it"), "{unheard}");
    assert!(wrong("[quota]\nkind = 'broken'").contains("quota cannot be used: it is not built in"));
    assert!(CacheConfig::new().toml("[backend]\nkind = 'plain'").build(&registry).is_ok());
    assert!(format!("{registry:?}").contains("naive"));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_hangs_is_cut_off() {
    let faults = memstache_core::testing::Faults::new();
    let layer = faults.clone();
    let registry = Registry::new().backend("hung", move |_| {
        let store = tower::Layer::layer(&layer, MemoryStore::builder().build()?);
        Ok(Backend::new(store))
    });
    let toml = "[backend]\nkind = 'hung'\n[timeout]\nkind = 'attempt'\nlimit = '100ms'";
    let cache = CacheConfig::new().toml(toml).build(&registry).unwrap().cache("k").unwrap();
    faults.inject(memstache_core::testing::Fault::hang());
    let before = SystemClock::new().now();
    assert_eq!(cache.get::<u8>("a").await.unwrap_err().kind(), ErrorKind::Timeout);
    assert!(SystemClock::new().now().since(before) < Duration::from_millis(200), "not the two seconds of the handle");
}
