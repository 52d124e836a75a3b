//! The keyspaces, as DistCache's README shows them.

use memstache_core::resilience::BreakerSnapshot;
use serde::Serialize;

use super::span::Span;
use crate::{Engine, KeySpaceStats, admin::tokens::Access, engine::Node, owner::Local};

/// A keyspace on this node, field by field as DistCache has it.
#[derive(Debug, Serialize)]
pub(in crate::admin) struct KeySpaceTold {
    pub(in crate::admin) name: String,
    pub(in crate::admin) max_bytes: usize,
    /// `0s`: until it is evicted.
    default_ttl: Span,
    read_timeout: Span,
    write_timeout: Span,
    /// Told to those with a token.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warm_keys: Vec<String>,
    pub(in crate::admin) main_cache_bytes: u64,
    pub(in crate::admin) hot_cache_bytes: u64,
    pub(in crate::admin) stats: Stats,
}

/// The statistics of groupcache.
#[derive(Debug, Serialize)]
pub(in crate::admin) struct Stats {
    pub(in crate::admin) gets: u64,
    pub(in crate::admin) cache_hits: u64,
    pub(in crate::admin) peer_loads: u64,
    pub(in crate::admin) peer_errors: u64,
    pub(in crate::admin) loads: u64,
    loads_deduped: u64,
    pub(in crate::admin) local_loads: u64,
    pub(in crate::admin) local_load_errs: u64,
    remove_keys_requests: u64,
    removed_keys: u64,
}

impl From<KeySpaceStats> for Stats {
    fn from(stats: KeySpaceStats) -> Self {
        Self {
            gets: stats.gets,
            cache_hits: stats.cache_hits,
            peer_loads: stats.peer_loads,
            peer_errors: stats.peer_errors,
            loads: stats.loads,
            loads_deduped: stats.loads_deduped,
            local_loads: stats.local_loads,
            local_load_errs: stats.local_load_errs,
            remove_keys_requests: stats.remove_keys_requests,
            removed_keys: stats.removed_keys,
        }
    }
}

impl KeySpaceTold {
    fn new(node: &Node, local: &Local, stats: KeySpaceStats, access: Access) -> Self {
        let settings = &local.spec.0;
        let text = |key: &Vec<u8>| String::from_utf8_lossy(key).into_owned();
        let named = access >= Access::Reader;
        Self {
            name: settings.name.as_str().to_owned(),
            max_bytes: settings.max_bytes,
            default_ttl: Span(settings.default_ttl.unwrap_or_default()),
            read_timeout: Span(local.read_timeout().unwrap_or(node.times.read)),
            write_timeout: Span(local.write_timeout().unwrap_or(node.times.write)),
            warm_keys: settings.warm_keys.iter().filter(|_| named).map(text).collect(),
            main_cache_bytes: stats.main_bytes,
            hot_cache_bytes: stats.hot_bytes,
            stats: stats.into(),
        }
    }
}

/// Tells of all keyspaces, by name.
pub(in crate::admin) fn keyspaces(engine: &Engine, access: Access) -> Vec<KeySpaceTold> {
    let node = &engine.node;
    node.registry.all().iter().map(|local| KeySpaceTold::new(node, local, local.stats(), access)).collect()
}

/// A keyspace with what DistCache does not tell: entries, and what protects its source.
#[derive(Debug, Serialize)]
pub(in crate::admin) struct Protected {
    #[serde(flatten)]
    pub(in crate::admin) told: KeySpaceTold,
    pub(in crate::admin) has_source: bool,
    pub(in crate::admin) main_entries: u64,
    pub(in crate::admin) hot_entries: u64,
    server_requests: u64,
    /// How often nodes were found to define it differently.
    pub(in crate::admin) conflicts: u64,
    pub(in crate::admin) breaker: Option<BreakerTold>,
    pub(in crate::admin) limiter: Option<LimiterTold>,
}

#[derive(Debug, Serialize)]
pub(in crate::admin) struct BreakerTold {
    pub(in crate::admin) state: &'static str,
    consecutive_failures: u32,
    opened: u64,
    refused: u64,
}

#[derive(Debug, Serialize)]
pub(in crate::admin) struct LimiterTold {
    /// Of all nodes together.
    pub(in crate::admin) per_second: u32,
    /// Of this node.
    share_per_second: u32,
    pub(in crate::admin) refused: u64,
}

impl From<BreakerSnapshot> for BreakerTold {
    fn from(breaker: BreakerSnapshot) -> Self {
        Self {
            state: breaker.state.as_str(),
            consecutive_failures: breaker.consecutive_failures,
            opened: breaker.opened,
            refused: breaker.refused,
        }
    }
}

impl Protected {
    pub(super) fn all(engine: &Engine, access: Access) -> Vec<Self> {
        let node = &engine.node;
        node.registry.all().iter().map(|local| Self::new(node, local, access)).collect()
    }

    fn new(node: &Node, local: &Local, access: Access) -> Self {
        let stats = local.stats();
        let limiter = local.limit().map(|(all, share)| LimiterTold {
            per_second: all,
            share_per_second: share,
            refused: stats.rate_limited,
        });
        Self {
            has_source: local.has_source(),
            main_entries: stats.main_entries,
            hot_entries: stats.hot_entries,
            server_requests: stats.server_requests,
            conflicts: node.registry.conflicts(local.spec.name().as_str()),
            breaker: local.breaker().map(BreakerTold::from),
            limiter,
            told: KeySpaceTold::new(node, local, stats, access),
        }
    }
}
