//! A stack over a server, made of a configuration.

use memstache_core::config::{CacheConfig, Registry};
use memstache_redis::register;

use super::kit;

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
