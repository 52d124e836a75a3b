//! A client that does nothing but look whether there is a healthy primary.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, SystemTime},
};

use anyhow::{Result, ensure};

use super::Topology;
use crate::servers::{SENTINEL_NAME, ready, resp::Connection, state::State};

/// How long a healthy server may take to answer.
const PATIENCE: Duration = Duration::from_millis(100);
const POLL: Duration = Duration::from_millis(20);
/// So many looks without a healthy primary are an outage; fewer may be the machine's doing.
const OUTAGE: usize = 3;

/// Looks on in a thread of its own.
#[derive(Debug)]
pub(super) struct Control {
    over: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Look>>,
}

/// What one look saw, at a time in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) at: u64,
    pub(super) healthy: bool,
}

impl Control {
    pub(super) fn of(state: &State, topology: Topology) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let (state, until) = (state.clone(), Arc::clone(&over));
        let thread = thread::spawn(move || {
            let mut looks = Vec::new();
            while !until.load(Ordering::Relaxed) {
                // The end of the look: a primary that answers is healthy by then.
                let healthy = look(&state, topology).is_ok();
                looks.push(Look { at: now(), healthy });
                thread::sleep(POLL);
            }
            looks
        });
        Self { over, thread }
    }

    /// Ends it, and returns what it saw.
    pub(super) fn end(self) -> Vec<Look> {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().expect("a look does not panic")
    }
}

/// When there was a healthy primary for good after the fault; `None` if there was none to the end. The time of the fault
/// itself if there always was one.
pub(super) fn healthy_from(looks: &[Look], fault: u64) -> Option<u64> {
    let after = &looks[looks.partition_point(|look| look.at < fault)..];
    let mut healthy = Some(fault);
    for stretch in after.chunk_by(|one, next| one.healthy == next.healthy) {
        if stretch[0].healthy {
            healthy = healthy.or(Some(stretch[0].at));
        } else if stretch.len() >= OUTAGE {
            healthy = None;
        }
    }
    healthy
}

/// Milliseconds since 1970.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn look(state: &State, topology: Topology) -> Result<()> {
    match topology {
        Topology::Single => primary(state.nodes[0].port),
        Topology::Sentinel => watched(state),
        Topology::Cluster => whole(state),
    }
}

fn primary(port: u16) -> Result<()> {
    let info = Connection::open_within(port, PATIENCE)?.text(&["INFO", "replication"])?;
    ensure!(ready::fields(&info).get("role") == Some(&"master"), "not a primary");
    Ok(())
}

/// A primary that takes part: one that has just started refuses everything for two seconds, whatever others say of it.
fn serving(port: u16) -> Result<()> {
    primary(port)?;
    let info = Connection::open_within(port, PATIENCE)?.text(&["CLUSTER", "INFO"])?;
    ensure!(ready::fields(&info).get("cluster_state") == Some(&"ok"), "it does not serve yet");
    Ok(())
}

/// The primary that every sentinel names.
fn watched(state: &State) -> Result<()> {
    let mut named: Vec<u16> = Vec::new();
    for sentinel in state.sentinels() {
        let mut connection = Connection::open_within(sentinel.port, PATIENCE)?;
        let place = connection.call(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", SENTINEL_NAME])?.texts();
        named.extend(place.last().and_then(|port| port.parse::<u16>().ok()));
    }
    named.dedup();
    ensure!(named.len() == 1, "sentinels disagree");
    primary(named[0])
}

/// Every primary with slots, as the members say that are never mistreated.
fn whole(state: &State) -> Result<()> {
    for node in &state.nodes[1..state.nodes.len() / 2] {
        let mut connection = Connection::open_within(node.port, PATIENCE)?;
        let info = connection.text(&["CLUSTER", "INFO"])?;
        ensure!(ready::fields(&info).get("cluster_state") == Some(&"ok"), "not whole");
        let nodes = connection.text(&["CLUSTER", "NODES"])?;
        let owners: Vec<_> = ready::members(&nodes).into_iter().filter(|it| it.has_slots && it.is_sound()).collect();
        ensure!(owners.len() == state.nodes.len() / 2, "a primary is missing");
        owners.iter().try_for_each(|owner| serving(owner.port))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(healthy: &str) -> Vec<Look> {
        (0..).zip(healthy.chars()).map(|(at, look)| Look { at: 10 * at, healthy: look == '+' }).collect()
    }

    #[test]
    fn health_counts_from_when_it_lasts() {
        assert_eq!(healthy_from(&looks("+++++"), 15), Some(15), "never unwell");
        assert_eq!(healthy_from(&looks("++---+---++"), 15), Some(90));
        assert_eq!(healthy_from(&looks("++---+-++--"), 15), Some(50), "a look or two prove nothing");
        assert_eq!(healthy_from(&looks("++---"), 15), None);
        assert_eq!(healthy_from(&looks("---+++"), 30), Some(30), "unwell before does not count");
        assert_eq!(healthy_from(&[], 30), Some(30));
    }
}
