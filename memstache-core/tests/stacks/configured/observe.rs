//! `[observe]`: recorders by name.

use memstache_core::{
    ErrorKind,
    config::{CacheConfig, Place, PlacedLayer, Registry},
    observe::{self, Tier, TierUse},
};

use super::{build, told};

#[tokio::test]
async fn a_registry_counts_calls_outcomes_and_what_the_tiers_hold() {
    let metrics = observe::Registry::new();
    let toml = "observe = { kind = 'registry', name = 'shop' }\nnear.max_bytes = '1 MiB'";
    let built = CacheConfig::new().toml(toml).build(&Registry::new().metrics(&metrics)).unwrap();
    let cache = built.cache("k").unwrap();
    assert_eq!(cache.get::<u8>("a").await.unwrap(), None);
    cache.set("a", &1).await.unwrap();
    assert_eq!(cache.get::<u8>("a").await.unwrap(), Some(1));
    assert_eq!(built.cache("other").unwrap().get::<u8>("a").await.unwrap(), None);
    let text = metrics.prometheus_text();
    for line in [
        "memstache_requests_total{memstache_cache=\"shop\",memstache_outcome=\"miss\"} 2\n",
        "memstache_requests_total{memstache_cache=\"shop\",memstache_outcome=\"hit\"} 1\n",
        "memstache_tier_entries{memstache_cache=\"shop\",memstache_tier=\"store\"} 1\n",
        "memstache_tier_entries{memstache_cache=\"shop\",memstache_tier=\"near\"} 1\n",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let calls = "memstache_operation_duration_seconds_count{memstache_cache=\"shop\",memstache_operation=\"set\"";
    assert!(text.contains(calls), "{text}");
    assert_eq!(built.metrics().unwrap().prometheus_text(), text);
}

#[tokio::test]
async fn nothing_counts_unless_it_is_chosen() {
    assert!(build("").unwrap().metrics().is_none());
    let built = build("observe.kind = 'registry'").unwrap();
    assert_eq!(built.cache("k").unwrap().get::<u8>("a").await.unwrap(), None);
    let text = built.metrics().unwrap().prometheus_text();
    assert!(text.contains("{memstache_cache=\"cache\",memstache_outcome=\"miss\"} 1\n"), "by its default name: {text}");
}

#[test]
fn what_is_wrong_with_a_recorder_is_told() {
    let name = told("observe = { kind = 'registry', name = 'a shop' }");
    assert!(name[0].starts_with("observe.name must be made of"), "{name:?}");
    let kind = told("observe.kind = 'registri'");
    assert!(kind[0].ends_with("but \"registri\" was given; did you mean registry?"), "{kind:?}");
    let key = told("observe = { kind = 'registry', nome = 'shop' }");
    assert_eq!(key, ["observe.nome is unknown; did you mean name?"]);

    let metrics = observe::Registry::new();
    let names = (0..observe::MAX_CACHES).flat_map(|n| Tier::ALL.iter().map(move |tier| (n, *tier)));
    names.for_each(|(n, tier)| metrics.watch(&format!("c{n}"), tier, TierUse::default).unwrap());
    let full = CacheConfig::new().toml("observe.kind = 'registry'").build(&Registry::new().metrics(&metrics));
    let full = full.unwrap_err();
    assert_eq!(full.problems()[0].path, "observe");
    assert!(full.to_string().contains("the number of caches of a registry must be at most 1000"), "{full}");
    assert_eq!(memstache_core::Error::from(full).kind(), ErrorKind::Invalid);
}

#[tokio::test]
async fn a_recorder_of_ones_own_is_told_by_all_handles() {
    let metrics = observe::Registry::new();
    let recorder = metrics.recorder("mine").unwrap();
    let registry = Registry::new()
        .layer(Place::Observe, "mine", move |section| Ok(PlacedLayer::recorder(recorder.clone(), section.clock())));
    let built = CacheConfig::new().toml("observe.kind = 'mine'").build(&registry).unwrap();
    assert_eq!(built.cache("k").unwrap().get::<u8>("a").await.unwrap(), None);
    assert!(metrics.prometheus_text().contains("{memstache_cache=\"mine\",memstache_outcome=\"miss\"} 1\n"));
    assert!(built.metrics().is_none(), "it is no registry");
}

#[cfg(feature = "metrics")]
#[test]
fn the_metrics_crate_is_a_recorder_too() {
    assert!(build("observe = { kind = 'metrics', name = 'shop' }").is_ok());
    assert!(told("observe = { kind = 'metrics', name = '' }")[0].starts_with("observe.name must be a text"));
}
