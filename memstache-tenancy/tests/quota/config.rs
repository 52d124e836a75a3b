//! Quotas in configurations.

use memstache_core::{
    ErrorKind,
    config::{CacheConfig, Registry},
    testing::ManualClock,
};
use memstache_tenancy::{CONFIG_EXAMPLE, Plans, Tenants, register};

use crate::kit::{kind, tenant};

fn setup() -> (Tenants, Registry<memstache_core::Json>) {
    let clock = ManualClock::new();
    let tenants = Tenants::builder(Plans::builder().build().unwrap()).clock(clock).build().unwrap();
    let registry = register(Registry::new(), &tenants);
    (tenants, registry)
}

const GOOD: &str = r#"
    [quota]
    kind = "plans"
    default_plan = "free"
    shared_plan = "free"
    [quota.plans.free]
    operations_per_second = 2
    entries = 1
    over_entries = "refuse"
    [quota.plans.gold]
    operations_per_second = 100
    loads = 1
    bytes = "1 MiB"
    [quota.tenants]
    acme = "gold"
"#;

#[tokio::test]
async fn plans_and_who_has_which_come_from_a_file() {
    let (tenants, registry) = setup();
    let cache = CacheConfig::new().toml(GOOD).build(&registry).unwrap().tenanted("products").unwrap();
    let (acme, other) = (cache.for_tenant(&tenant("acme")), cache.for_tenant(&tenant("other")));
    for n in 0..50 {
        acme.set(n.to_string(), &n).await.unwrap();
    }
    other.set("1", &1).await.unwrap();
    assert_eq!(kind(other.set("2", &2).await), ErrorKind::Overloaded);
    assert_eq!(kind(other.get::<u32>("1").await), ErrorKind::Overloaded);
    let (gold, free) = (tenants.usage(&tenant("acme")), tenants.usage(&tenant("other")));
    assert_eq!((gold.plan.unwrap().loads(), gold.entries), (Some(1), 50));
    assert_eq!((free.plan.unwrap().name().to_owned(), free.entries, free.refused_writes), ("free".to_owned(), 1, 1));
    assert_eq!(tenants.shared_usage().plan.unwrap().name(), "free");
    assert!(cache.health().part("tenants").is_some());
}

#[tokio::test]
async fn loads_are_gated_there_too() {
    let (tenants, registry) = setup();
    let cache = CacheConfig::new().toml(GOOD).build(&registry).unwrap().tenanted("products").unwrap();
    let acme = cache.for_tenant(&tenant("acme"));
    let inner = acme.clone();
    let nested = acme.get_or_load("a", move |_| async move {
        let nested = inner.get_or_load("b", |_| async { Ok::<u32, std::io::Error>(1) }).await;
        Ok::<u32, std::io::Error>(u32::from(kind(nested) == ErrorKind::Overloaded))
    });
    assert_eq!(nested.await.unwrap(), 1, "one at once");
    assert_eq!(tenants.usage(&tenant("acme")).refused_loads, 1);
}

#[test]
fn the_example_is_what_is_there_by_default() {
    let (tenants, registry) = setup();
    let configured = CacheConfig::new().toml(CONFIG_EXAMPLE).build(&registry).unwrap();
    let settings = configured.settings().iter().filter(|setting| setting.path.starts_with("quota."));
    let mut told = 0;
    for setting in settings.filter(|setting| setting.path != "quota.kind") {
        assert_eq!(setting.value, setting.default, "{}", setting.path);
        assert!(setting.source.is_some(), "{} is missing in the example", setting.path);
        told += 1;
    }
    assert_eq!((told, tenants.plans().iter().count()), (13, 1));
}

#[test]
fn what_is_wrong_is_told_and_changes_nothing() {
    let (tenants, registry) = setup();
    let text = r#"
        [quota]
        kind = "plans"
        default_plan = "fre"
        colour = "red"
        [quota.plans.free]
        operations_per_second = 0
        over_operations = "evict-own"
        lods = 1
        [quota.tenants]
        acme = "gold"
    "#;
    let error = CacheConfig::new().toml(text).build(&registry).unwrap_err();
    let told: Vec<_> = error.problems().iter().map(|problem| format!("{} {}", problem.path, problem.message)).collect();
    for (path, part) in [
        ("quota.plans.free.operations_per_second", "must be a whole number from 1 to 1000000, but 0 was given"),
        ("quota.plans.free.over_operations", "must be one of refuse, serve-stale"),
        ("quota.plans.free.lods", "is unknown; did you mean loads?"),
        ("quota.colour", "is unknown"),
        ("quota", "the default plan must be one of free, but \"fre\" was given"),
        ("quota", "the plan of a tenant must be one of free, but \"gold\" was given"),
    ] {
        assert!(told.iter().any(|it| it.starts_with(&format!("{path} ")) && it.contains(part)), "{path}: {told:#?}");
    }
    let twice = "[quota]\nkind = 'plans'\nestimate = true";
    let error = CacheConfig::new().toml(twice).build(&registry).unwrap_err().to_string();
    assert!(error.contains("quota.estimate must be false with backend.kind = \"memory\""), "{error}");
    let wrong_elsewhere = format!("{GOOD}\n[near]\nmax_bytes = 1");
    assert!(CacheConfig::new().toml(&wrong_elsewhere).build(&registry).is_err());
    let bad_name = "[quota]\nkind = 'plans'\n[quota.plans.'a b']\n[quota.tenants]\n'a b' = 'x'\nb = 7";
    let error = CacheConfig::new().toml(bad_name).build(&registry).unwrap_err().to_string();
    assert!(error.contains("plan name must be made of") && error.contains("tenant must be made of"), "{error}");
    assert!(error.contains("quota.tenants.b must be a text, but 7 was given"), "{error}");
    assert_eq!(tenants.plans().iter().next().unwrap().name(), "default", "the plans are as they were");
}
