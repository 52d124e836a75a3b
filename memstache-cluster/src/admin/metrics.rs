//! `GET /metrics`: what the engine counts, as Prometheus reads it.

use std::{
    fmt::{self, Write as _},
    sync::Arc,
};

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse as _, Response},
};
use memstache_core::observe::Registry;

use super::{
    answer::Problem,
    state::Shared,
    tell::{self, Status},
    tokens::Access,
};
use crate::{KeySpaceStats, MemberState};

/// Counts of each keyspace: the name, what it counts, where it is found.
type Count = (&'static str, &'static str, fn(&KeySpaceStats) -> u64);

const COUNTS: [Count; 15] = [
    ("gets", "Keys asked for, by callers of this node and by its peers", |stats| stats.gets),
    ("hits", "Keys answered from what this node held", |stats| stats.cache_hits),
    ("peer_loads", "Keys that a peer answered", |stats| stats.peer_loads),
    ("peer_errors", "Keys that a peer should have answered and did not", |stats| stats.peer_errors),
    ("loads", "Keys that this node did not hold and that were its to load", |stats| stats.loads),
    ("loads_deduped", "Loads that were left after each key was loaded once for all", |stats| stats.loads_deduped),
    ("local_loads", "Keys that the source answered here", |stats| stats.local_loads),
    ("local_load_errors", "Keys that the source failed to answer here", |stats| stats.local_load_errs),
    ("fallback_loads", "Keys that the source answered here in the place of an owner", |stats| stats.fallback_loads),
    ("replica_loads", "Keys that a replica answered in the place of an owner", |stats| stats.replica_loads),
    ("hedged", "Keys that a replica was asked for because the owner was slow", |stats| stats.hedged),
    ("server_requests", "Keys that peers asked this node for", |stats| stats.server_requests),
    ("remove_requests", "Calls that removed keys", |stats| stats.remove_keys_requests),
    ("removed_keys", "Keys that were removed and were there", |stats| stats.removed_keys),
    ("rate_limited", "Loads that the rate limiter refused", |stats| stats.rate_limited),
];

/// Answers a scrape.
pub(super) async fn tell(State(shared): State<Arc<Shared>>) -> Result<Response, Problem> {
    let engine = shared.engine()?;
    let mut text = shared.registry.as_ref().map(Registry::prometheus_text).unwrap_or_default();
    let stats: Vec<_> = engine.node.registry.all().iter().map(|local| (local.spec.clone(), local.stats())).collect();
    let stats: Vec<_> = stats.iter().map(|(spec, stats)| (spec.name().as_str(), *stats)).collect();
    // Writing to a string does not fail.
    let _ = write(&mut text, &tell::status(&engine, Access::Anybody), &stats);
    Ok(([(header::CONTENT_TYPE, Registry::CONTENT_TYPE)], text).into_response())
}

fn write(out: &mut String, status: &Status, stats: &[(&str, KeySpaceStats)]) -> fmt::Result {
    let ready = u64::from(status.node.ready);
    family(out, "node_ready", "gauge", "Whether the node takes calls and owns its share", [(String::new(), ready)])?;
    let states = [MemberState::Joining, MemberState::Active, MemberState::Draining].map(|state| {
        let members = status.peers.iter().filter(|peer| peer.who.state == state.as_str()).count();
        (format!("{{memstache_state=\"{state}\"}}"), members as u64)
    });
    family(out, "members", "gauge", "Members that this node sees, itself included", states)?;
    let owned = status.peers.iter().find(|peer| peer.is_self).map_or(0, |peer| peer.partitions);
    family(out, "partitions_owned", "gauge", "Partitions that this node owns", [(String::new(), owned)])?;
    let down = status.peers.iter().filter(|peer| matches!(peer.health, "down" | "degraded" | "disconnected"));
    let down = [(String::new(), down.count() as u64)];
    family(out, "peers_impaired", "gauge", "Members that do not answer calls as they should", down)?;
    for (name, help, of) in COUNTS {
        let samples = stats.iter().map(|(keyspace, stats)| (label(keyspace, ""), of(stats)));
        family(out, &format!("keyspace_{name}_total"), "counter", help, samples)?;
    }
    let tiers = |of: fn(&KeySpaceStats) -> [u64; 3]| {
        stats.iter().flat_map(move |(keyspace, stats)| {
            let [main, hot, replica] = of(stats);
            [("main", main), ("hot", hot), ("replica", replica)].map(|(tier, held)| (label(keyspace, tier), held))
        })
    };
    let bytes = tiers(|stats| [stats.main_bytes, stats.hot_bytes, stats.replica_bytes]);
    family(
        out,
        "keyspace_size_bytes",
        "gauge",
        "Bytes held, as an owner, as copies of hot keys and as a replica",
        bytes,
    )?;
    let entries = tiers(|stats| [stats.main_entries, stats.hot_entries, stats.replica_entries]);
    let help = "Entries held, as an owner, as copies of hot keys and as a replica";
    family(out, "keyspace_entries", "gauge", help, entries)?;
    let conflicts = status.keyspaces.iter().map(|keyspace| (label(&keyspace.told.name, ""), keyspace.conflicts));
    family(
        out,
        "keyspace_conflicts_total",
        "counter",
        "Different definitions of a keyspace that were found",
        conflicts,
    )?;
    let breakers = status.keyspaces.iter().filter_map(|keyspace| {
        let breaker = keyspace.breaker.as_ref()?;
        Some((label(&keyspace.told.name, ""), u64::from(breaker.state != "closed")))
    });
    family(out, "keyspace_breaker_open", "gauge", "Whether the source of a keyspace is left alone", breakers)
}

fn label(keyspace: &str, tier: &str) -> String {
    let tier = if tier.is_empty() { String::new() } else { format!(",memstache_tier=\"{tier}\"") };
    // A name of a keyspace has no character that would end a label.
    format!("{{memstache_keyspace=\"{keyspace}\"{tier}}}")
}

/// Writes one family, if it has samples.
fn family(
    out: &mut String,
    name: &str,
    kind: &str,
    help: &str,
    samples: impl IntoIterator<Item = (String, u64)>,
) -> fmt::Result {
    let mut samples = samples.into_iter().peekable();
    if samples.peek().is_none() {
        return Ok(());
    }
    writeln!(out, "# HELP memstache_cluster_{name} {help}.\n# TYPE memstache_cluster_{name} {kind}")?;
    samples.try_for_each(|(labels, number)| writeln!(out, "memstache_cluster_{name}{labels} {number}"))
}
