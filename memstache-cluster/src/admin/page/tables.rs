//! What the page shows, as rows.

use std::fmt::{self, Write as _};

use super::escape::Escaped;
use crate::admin::tell::{Peer, Protected, Status};

/// Writes what belongs in the place of a mark.
pub(super) fn fill(out: &mut String, mark: &str, status: &Status) {
    let filled = match mark {
        "name" => write!(out, "{}", Escaped(name(status))),
        "state" => write!(out, "{}", Escaped(status.node.state)),
        "version" => out.write_str(status.node.version),
        "peers" => peers(out, &status.peers),
        "keyspaces" => keyspaces(out, &status.keyspaces),
        "health" => health(out, status),
        _ => Ok(()),
    };
    // Writing to a string does not fail.
    debug_assert!(filled.is_ok());
}

fn name(status: &Status) -> &str {
    status.node.name.as_deref().unwrap_or("a node alone")
}

fn peers(out: &mut String, peers: &[Peer]) -> fmt::Result {
    if peers.is_empty() {
        return none(out, 7, "This node stands alone.");
    }
    peers.iter().try_for_each(|peer| {
        let Peer { who, partitions, share, health, calls, .. } = peer;
        write!(out, "<tr><th scope=\"row\">{}</th><td>{}", Escaped(&who.name), Escaped(who.address()))?;
        write!(out, "</td><td>{}</td><td>{}</td>", Escaped(who.state), Escaped(who.zone.as_deref().unwrap_or("–")))?;
        write!(
            out,
            "<td class=\"n\">{partitions} ({:.1} %)</td><td>{}</td><td class=\"n\">",
            share * 100.0,
            Escaped(health)
        )?;
        match calls {
            Some(calls) => write!(out, "{:.2} / {:.2} ms", calls.latency_ms, calls.p95_ms),
            None => out.write_str("–"),
        }?;
        out.write_str("</td></tr>")
    })
}

fn keyspaces(out: &mut String, keyspaces: &[Protected]) -> fmt::Result {
    if keyspaces.is_empty() {
        return none(out, 7, "There are no keyspaces.");
    }
    keyspaces.iter().try_for_each(|keyspace| {
        let (told, stats) = (&keyspace.told, &keyspace.told.stats);
        let hits = if stats.gets == 0 { 0.0 } else { stats.cache_hits as f64 / stats.gets as f64 * 100.0 };
        write!(out, "<tr><th scope=\"row\">{}</th><td class=\"n\">{}</td>", Escaped(&told.name), stats.gets)?;
        write!(out, "<td class=\"n\">{hits:.1} %</td><td class=\"n\">{}</td>", stats.loads)?;
        write!(out, "<td class=\"n\">{}</td>", stats.local_load_errs)?;
        write!(out, "<td class=\"n\">{} of {}</td><td>", bytes(told.main_cache_bytes), bytes(told.max_bytes as u64))?;
        match (&keyspace.breaker, &keyspace.limiter) {
            (None, None) => out.write_str("–"),
            (breaker, limiter) => {
                let breaker = breaker.as_ref().map(|breaker| format!("breaker {}", breaker.state));
                let limiter = limiter.as_ref().map(|it| format!("{}/s, {} refused", it.per_second, it.refused));
                let both: Vec<_> = breaker.into_iter().chain(limiter).collect();
                write!(out, "{}", Escaped(both.join("; ")))
            }
        }?;
        out.write_str("</td></tr>")
    })
}

fn health(out: &mut String, status: &Status) -> fmt::Result {
    status.health.parts.iter().try_for_each(|part| write!(out, "<li>{}</li>", Escaped(part)))
}

fn none(out: &mut String, columns: usize, text: &str) -> fmt::Result {
    write!(out, "<tr><td colspan=\"{columns}\">{text}</td></tr>")
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
