//! A stack over a server, made of a configuration.

use memstache_core::config::{CacheConfig, Registry};
use memstache_redis::register;

use super::kit;

#[tokio::test]
async fn commands_are_counted_where_counts_are_wanted() {
    let config = CacheConfig::new().toml("backend.kind = 'redis'\nobserve.kind = 'registry'\nobserve.name = 'items'");
    let config = config.set("backend.url", kit::single()).set("backend.prefix", kit::prefix());
    let config = config.set("backend.read_timeout", "2s").set("backend.call_timeout", "10s");
    let built = config.set("cache.store_timeout", "10s").build(&register(Registry::new())).unwrap();
    let metrics = built.metrics().expect("counts are wanted").clone();
    built.cache("k").unwrap().set("a", &"tea").await.unwrap();
    let text = metrics.prometheus_text();
    let set = "db_client_operation_duration_seconds_count{memstache_cache=\"items\",db_system_name=\"redis\",";
    assert!(
        text.lines().any(|line| line.starts_with(set) && line.contains("db_stored_procedure_name=\"set\"")),
        "{text}"
    );
}

#[tokio::test]
async fn two_configured_stacks_share_what_is_stored() {
    let prefix = kit::prefix();
    let build = || {
        let config = CacheConfig::new().toml("backend.kind = 'redis'\nnear.max_bytes = '1 MiB'");
        let config = config.set("backend.url", kit::single()).set("backend.prefix", prefix.as_str());
        // Machines that run tests are busy.
        let config = config.set("backend.read_timeout", "2s").set("backend.call_timeout", "10s");
        config.set("backend.write_timeout", "5s").set("cache.store_timeout", "10s").build(&register(Registry::new()))
    };
    let (one, other) = (build().unwrap().cache("k").unwrap(), build().unwrap().cache("k").unwrap());
    one.set("a", &"tea").await.unwrap();
    assert_eq!(other.get::<String>("a").await.unwrap().as_deref(), Some("tea"));
    other.remove("a").await.unwrap();
    assert!(one.read().authority().get::<String>("a").await.unwrap().is_none());
}
