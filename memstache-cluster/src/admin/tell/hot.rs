//! The keys that are asked for most.

use serde::Serialize;

use super::part;
use crate::{Engine, HotKey, admin::tokens::Access, placement::partition_of};

/// How many keys are told, of each keyspace and of all.
const MOST: usize = 20;

/// A key that this node owns and that is asked for often.
#[derive(Debug, Serialize)]
pub(in crate::admin) struct HotTold {
    pub(in crate::admin) keyspace: String,
    /// Told, as the name is, to those with a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::admin) tenant: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::admin) key: Option<String>,
    pub(in crate::admin) partition: u16,
    hits: f64,
    pub(in crate::admin) per_second: f64,
    pub(in crate::admin) copies: usize,
    /// Of the reads of all keys that are told.
    pub(in crate::admin) share: Option<f64>,
}

/// Tells of the keys that are asked for most on this node, of all keyspaces together, the first first.
pub(in crate::admin) fn hot_keys(engine: &Engine, access: Access) -> Vec<HotTold> {
    let locals = engine.node.registry.all();
    // A keyspace that was deleted meanwhile has none.
    let of = |name: &str| engine.hot_keys(name, MOST).unwrap_or_default();
    let names = locals.iter().map(|local| local.spec.name().as_str());
    let mut hot: Vec<_> = names.flat_map(|name| of(name).into_iter().map(move |hot| (name, hot))).collect();
    hot.sort_by(|(_, a), (_, b)| b.hits.total_cmp(&a.hits));
    hot.truncate(MOST);
    let all: f64 = hot.iter().map(|(_, hot)| hot.hits).sum();
    hot.iter().map(|(keyspace, hot)| HotTold::new(keyspace, hot, all, access)).collect()
}

impl HotTold {
    fn new(keyspace: &str, hot: &HotKey, all: f64, access: Access) -> Self {
        let named = access >= Access::Reader;
        Self {
            keyspace: keyspace.to_owned(),
            tenant: hot.key.tenant().filter(|_| named).map(str::to_owned),
            key: named.then(|| String::from_utf8_lossy(hot.key.name()).into_owned()),
            partition: partition_of(hot.key.stored()).get(),
            hits: hot.hits,
            per_second: hot.per_second,
            copies: hot.copies,
            share: part(hot.hits, all),
        }
    }
}
