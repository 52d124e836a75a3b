//! What the page shows, as rows.

use std::fmt::{self, Display, Write as _};

use super::escape::Escaped;
use crate::admin::{
    base::BasePath,
    tell::{HotTold, Peer, Protected, Status},
};

/// Stands for what there is not.
const NOTHING: &str = "–";

/// How many hot keys are shown.
const KEYS: usize = 10;

/// Writes what belongs in the place of a mark.
pub(super) fn fill(out: &mut String, mark: &str, base: &BasePath, status: &Status) {
    let node = &status.node;
    let filled = match mark {
        "name" => write!(out, "{}", Escaped(node.name.as_deref().unwrap_or("a node alone"))),
        "state" => write!(out, "{}", Escaped(node.state)),
        "version" => out.write_str(node.version),
        "base" => write!(out, "{}", Escaped(base.as_str())),
        "epoch" => node.epoch.as_ref().map_or(Ok(()), |epoch| write!(out, " · table {}", Escaped(&epoch[..8]))),
        "peers" => rows(out, &status.peers, (6, "This node stands alone."), peer),
        "keyspaces" => rows(out, &status.keyspaces, (9, "There are no keyspaces."), keyspace),
        "hot" => rows(out, &status.hot_keys[..status.hot_keys.len().min(KEYS)], (4, "No key was read of late."), hot),
        "health" => status.health.parts.iter().try_for_each(|part| write!(out, "<li>{}</li>", Escaped(part))),
        _ => Ok(()),
    };
    // Writing to a string does not fail.
    debug_assert!(filled.is_ok());
}

fn rows<T>(
    out: &mut String,
    all: &[T],
    (columns, nothing): (usize, &str),
    row: impl Fn(&mut String, &T) -> fmt::Result,
) -> fmt::Result {
    if all.is_empty() {
        return write!(out, "<tr><td colspan=\"{columns}\">{nothing}</td></tr>");
    }
    all.iter().try_for_each(|one| {
        out.write_str("<tr>")?;
        row(out, one)?;
        out.write_str("</tr>")
    })
}

/// What a row is about, and what else is to be known of it.
fn head(out: &mut String, text: impl Display, more: impl Display) -> fmt::Result {
    write!(out, "<th scope=\"row\">{}<span class=\"dim\">{}</span></th>", Escaped(text), Escaped(more))
}

fn cell(out: &mut String, is: &str, text: impl Display) -> fmt::Result {
    write!(out, "<td data-is=\"{is}\">{}</td>", Escaped(text))
}

fn number(out: &mut String, is: &str, text: impl Display) -> fmt::Result {
    write!(out, "<td data-is=\"{is}\" class=\"n\">{}</td>", Escaped(text))
}

fn peer(out: &mut String, peer: &Peer) -> fmt::Result {
    let Peer { who, partitions, share, health, calls, .. } = peer;
    head(out, &who.name, who.address())?;
    cell(out, "State", who.state)?;
    cell(out, "Health", health)?;
    number(out, "Share", format_args!("{:.1} % ({partitions})", share * 100.0))?;
    let latency = calls.as_ref().map(|calls| format!("{:.2} ms, 95 %: {:.2} ms", calls.latency_ms, calls.p95_ms));
    number(out, "Latency", latency.as_deref().unwrap_or(NOTHING))?;
    cell(out, "Zone", who.zone.as_deref().unwrap_or(NOTHING))
}

fn keyspace(out: &mut String, keyspace: &Protected) -> fmt::Result {
    let (told, stats) = (&keyspace.told, &keyspace.told.stats);
    head(out, &told.name, if keyspace.has_source { "with a source" } else { "without a source" })?;
    number(out, "Reads", stats.gets)?;
    // What peers answer is theirs to hit or miss.
    let own = stats.gets.saturating_sub(stats.peer_loads + stats.peer_errors).max(stats.cache_hits);
    let hits = (own > 0).then(|| format!("{:.1} %", stats.cache_hits as f64 / own as f64 * 100.0));
    number(out, "Hit ratio", hits.as_deref().unwrap_or(NOTHING))?;
    number(out, "Loads", stats.loads)?;
    number(out, "From peers", stats.peer_loads)?;
    number(out, "Failures", stats.local_load_errs + stats.peer_errors)?;
    let (held, entries) = (told.main_cache_bytes + told.hot_cache_bytes, keyspace.main_entries + keyspace.hot_entries);
    number(out, "Held", format_args!("{} of {}, {entries} entries", bytes(held), bytes(told.max_bytes as u64)))?;
    cell(out, "Breaker", keyspace.breaker.as_ref().map_or(NOTHING, |breaker| breaker.state))?;
    match &keyspace.limiter {
        Some(limiter) => cell(out, "Limiter", format_args!("{}/s, {} refused", limiter.per_second, limiter.refused)),
        None => cell(out, "Limiter", NOTHING),
    }
}

fn hot(out: &mut String, hot: &HotTold) -> fmt::Result {
    let tenant = hot.tenant.as_deref().unwrap_or_default();
    match &hot.key {
        Some(key) => head(out, key, tenant),
        None => head(out, format_args!("in partition {}", hot.partition), tenant),
    }?;
    cell(out, "Keyspace", &hot.keyspace)?;
    number(out, "Reads a second", format_args!("{:.1}", hot.per_second))?;
    number(out, "Copies", hot.copies)
}

/// Bytes for people.
fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut scaled = count as f64;
    let mut unit = 0;
    while scaled >= 1024.0 && unit + 1 < UNITS.len() {
        scaled /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{count} B") } else { format!("{scaled:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn bytes_are_for_people() {
        let told = [0, 1023, 1024, 64 << 20, u64::MAX].map(bytes);
        assert_eq!(told, ["0 B", "1023 B", "1.0 KiB", "64.0 MiB", "16777216.0 TiB"]);
    }
}
