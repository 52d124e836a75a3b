//! Loading keys ahead that are known to be asked for, and handing over those that another owns now.

mod config;

use std::{
    collections::HashSet,
    sync::{Arc, Weak},
    time::Duration,
};

use futures_util::stream::{self, StreamExt as _};
use memstache_core::{
    Address, Get, KeyspaceName, OneOrMany, Request, Result, Scope, Space, Touch, TouchItem, TouchKind,
};

pub use self::config::WarmUp;
use super::{View, route};
use crate::{
    engine::{Node, Slot},
    owner::{Local, Refused, run_owned},
};

/// How far a refresh interval is left to chance, so that nodes do not ask together.
const JITTER: f64 = 0.2;

/// What became of keys that were to be loaded ahead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WarmedUp {
    /// Keys that this node owns and holds now, or knows to be missing.
    pub keys: usize,
    /// Keys that could not be loaded in time.
    pub failed: usize,
}

/// Begins to load ahead what is this node's.
pub(crate) fn begin(node: &Arc<Node>) {
    spawn(node, node.warm_up.unwrap_or_default(), None);
}

/// Loads ahead what a node begins with.
pub(crate) fn on_start(node: &Arc<Node>) {
    if node.warm_up.is_some_and(|config| config.on_join) {
        begin(node);
    }
    if let Some(interval) = node.warm_up.and_then(|config| config.refresh_interval) {
        node.spawn(refresh(Arc::downgrade(node), interval));
    }
}

/// Loads ahead what is this node's after a change of the members, and hands over what is hot and another's.
pub(crate) fn on_change(node: &Arc<Node>, old: &Arc<View>, view: &View) {
    let Some(config) = node.warm_up else { return };
    let owns_before = |id| old.table.nodes().iter().any(|(known, _)| *known == id);
    let owns_now = |id| view.table.nodes().iter().any(|(known, _)| *known == id);
    let joined = view.table.nodes().iter().any(|(id, _)| !owns_before(*id));
    let left = old.table.nodes().iter().any(|(id, _)| !owns_now(*id));
    if config.on_join && joined || config.on_leave && left {
        spawn(node, config, Some(Arc::clone(old)));
    }
}

/// Loads ahead what is this node's of a keyspace whose settings are others now.
pub(crate) fn on_update(node: &Arc<Node>, keyspace: &KeyspaceName) {
    let Some(config) = node.warm_up.filter(|_| node.ready().is_ok()) else { return };
    let (weak, name) = (Arc::downgrade(node), keyspace.clone());
    node.spawn(async move {
        let Some(node) = weak.upgrade() else { return };
        if let Ok(local) = node.registry.slot(name.as_str()).and_then(|slot| slot.current()) {
            warm(&node, &local, config, None).await;
        }
    });
}

fn spawn(node: &Arc<Node>, config: WarmUp, old: Option<Arc<View>>) {
    let weak = Arc::downgrade(node);
    // Now: what is asked for from here on is loaded by who asks.
    let all = node.registry.all().into_iter().map(|local| (local.worth_warming(config), local));
    let all: Vec<_> = all.collect();
    node.spawn(async move {
        for (keys, local) in all {
            let Some(node) = weak.upgrade() else { return };
            warm_these(&node, &local, config, old.as_deref(), keys).await;
        }
    });
}

/// Loads ahead the keys of one keyspace that this node owns; those that it owned by `old` and does not own now are handed over.
pub(crate) async fn warm(node: &Arc<Node>, local: &Local, config: WarmUp, old: Option<&View>) -> WarmedUp {
    warm_these(node, local, config, old, local.worth_warming(config)).await
}

async fn warm_these(
    node: &Arc<Node>,
    local: &Local,
    config: WarmUp,
    old: Option<&View>,
    keys: Vec<Address>,
) -> WarmedUp {
    let Ok(slot) = node.registry.slot(local.spec.name().as_str()) else { return WarmedUp::default() };
    let view = node.cluster().map(|cluster| cluster.view());
    let owns = |view: Option<&View>, address: &Address| view.is_none_or(|view| view.owns(address.stored()));
    let mut done = WarmedUp::default();
    let (own, others): (Vec<_>, Vec<_>) = keys.into_iter().partition(|key| owns(view.as_deref(), key));
    if local.has_source() {
        let loads = own.into_iter().map(|key| load(node, &slot, local, key, config));
        let mut loads = stream::iter(loads).buffer_unordered(config.concurrency);
        while let Some(loaded) = loads.next().await {
            match loaded {
                Ok(()) => done.keys += 1,
                // It is loaded when it is asked for.
                Err(_) => done.failed += 1,
            }
        }
    }
    if let Some(old) = old {
        let moved = others.into_iter().filter(|key| old.owns(key.stored()));
        let gives = moved.map(|key| give(node, &slot, local, key, config));
        stream::iter(gives).buffer_unordered(config.concurrency).for_each(|()| async {}).await;
    }
    done
}

/// How long one key may take.
fn limit(node: &Node, local: &Local, config: WarmUp) -> Duration {
    config.timeout.min(local.read_timeout().unwrap_or(node.times.read))
}

async fn load(node: &Arc<Node>, slot: &Arc<Slot>, local: &Local, key: Address, config: WarmUp) -> Result<()> {
    let deadline = node.clock.now().after(limit(node, local, config));
    let mut request: Request = Get::one(key).into();
    request.scope_mut().deadline = Some(deadline);
    let answer = match node.cluster() {
        None => node.run_here(slot, request).await?,
        Some(cluster) => match run_owned(node, cluster, slot, request, deadline).await {
            Ok(answer) => answer,
            // It has moved meanwhile: another loads it.
            Err(Refused::WrongOwner) => return Ok(()),
            Err(Refused::Failed(error)) => return Err(error),
        },
    };
    match answer {
        memstache_core::Response::Found(items) => items.into_one().map_or(Ok(()), |item| item.map(drop)),
        _ => Ok(()),
    }
}

/// Has the new owner of a key ask this node for it.
async fn give(node: &Arc<Node>, slot: &Arc<Slot>, local: &Local, key: Address, config: WarmUp) {
    let Some(cluster) = node.cluster() else { return };
    let deadline = node.clock.now().after(limit(node, local, config));
    let items = OneOrMany::One(TouchItem { address: key, kind: TouchKind::Probe });
    let probe = Touch { items, scope: Scope { deadline: Some(deadline), ..Scope::default() } };
    // Who does not take it asks its source when the key is asked for.
    drop(route::run(node, cluster, slot, probe.into(), deadline).await);
}

/// Asks the sources again, now and then, for what is worth it.
async fn refresh(node: Weak<Node>, interval: Duration) {
    loop {
        let Some(clock) = node.upgrade().map(|node| Arc::clone(&node.clock)) else { return };
        let pause = interval.mul_f64(1.0 - JITTER + 2.0 * JITTER * fastrand::f64());
        clock.sleep_until(clock.now().after(pause)).await;
        let Some(node) = node.upgrade() else { return };
        let Some(config) = node.warm_up else { return };
        for local in node.registry.all().into_iter().filter(|local| local.has_source()) {
            let owns = |key: &Address| node.cluster().is_none_or(|cluster| cluster.view().owns(key.stored()));
            let deadline = clock.now().after(limit(&node, &local, config));
            let keys = local.worth_warming(config).into_iter().filter(owns);
            let refreshed = keys.map(|key| local.refresh(key, deadline));
            stream::iter(refreshed).buffer_unordered(config.concurrency).for_each(|()| async {}).await;
        }
    }
}

impl Local {
    /// Returns the keys that are worth loading ahead, each once: those that were named, then the hottest.
    pub(super) fn worth_warming(&self, config: WarmUp) -> Vec<Address> {
        let space = Space::new(None, self.spec.name());
        let named = self.spec.0.warm_keys.iter().filter_map(|key| Address::plain(&space, key).ok());
        let mut seen = HashSet::new();
        named.chain(self.hottest(config)).filter(|key| seen.insert(Arc::clone(key.stored()))).collect()
    }

    /// Returns the keys that are read most of late, the hottest first.
    pub(super) fn hottest(&self, config: WarmUp) -> Vec<Address> {
        let hot = self.hot.reads.top(config.max_hot_keys).into_iter();
        // What was counted fades: a key that was just read once counts a little less.
        hot.filter(|read| read.hits.round() >= config.min_hits as f64).map(|read| read.address).collect()
    }
}
