//! What is done to servers.

use std::{thread, time::Duration};

use anyhow::{Context as _, Result};
use clap::ValueEnum;

use super::Topology;
use crate::servers::{One, SENTINEL_NAME, pids::Signal};

/// How long a primary is paused, or without memory.
const PAUSE: Duration = Duration::from_secs(3);
/// Between the end of a server and its start.
const GAP: Duration = Duration::from_secs(1);

/// A mistreatment of the primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Fault {
    /// SIGKILL, for good
    Kill,
    /// SIGSTOP, for good
    Stop,
    /// SIGSTOP, and SIGCONT three seconds later
    Pause,
    /// The topology's own failover command
    Failover,
    /// CLIENT KILL of every connection, at every server
    ClientKill,
    /// SIGKILL, and a start with nothing in it a second later
    Restart,
    /// No memory for writes, for three seconds, at every server
    Maxmemory,
}

impl Fault {
    pub(super) const ALL: [Self; 7] =
        [Self::Kill, Self::Stop, Self::Pause, Self::Failover, Self::ClientKill, Self::Restart, Self::Maxmemory];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Stop => "stop",
            Self::Pause => "pause",
            Self::Failover => "failover",
            Self::ClientKill => "client-kill",
            Self::Restart => "restart",
            Self::Maxmemory => "maxmemory",
        }
    }

    pub(super) fn exists(self, topology: Topology) -> bool {
        self != Self::Failover || topology != Topology::Single
    }

    /// Whether a replica may take over that has not got everything that was acknowledged.
    pub(super) fn may_lose(self, topology: Topology) -> bool {
        match topology {
            Topology::Single => false,
            // Sentinels promote a replica without asking the primary to wait for it; members of a cluster do ask.
            Topology::Sentinel => !matches!(self, Self::ClientKill | Self::Maxmemory),
            Topology::Cluster => matches!(self, Self::Kill | Self::Stop | Self::Pause | Self::Restart),
        }
    }

    /// Whether there is a healthy primary again in the end.
    pub(super) fn ends(self, topology: Topology) -> bool {
        topology != Topology::Single || !matches!(self, Self::Kill | Self::Stop)
    }

    /// Does it, and what belongs to it later.
    pub(super) fn inject(self, one: &mut One, topology: Topology) -> Result<()> {
        match self {
            Self::Kill => one.state.nodes[0].end(),
            Self::Stop => one.state.nodes[0].signal(Signal::Stop),
            Self::Pause => {
                one.state.nodes[0].signal(Signal::Stop)?;
                thread::sleep(PAUSE);
                one.state.nodes[0].signal(Signal::Continue)
            }
            Self::Failover => failover(one, topology),
            Self::ClientKill => {
                everywhere(one, &["CLIENT", "KILL", "TYPE", "pubsub"])?;
                everywhere(one, &["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"])
            }
            Self::Restart => {
                one.state.nodes[0].end()?;
                thread::sleep(GAP);
                let program = one.program.clone();
                one.state.nodes[0].restart(&program)
            }
            Self::Maxmemory => {
                everywhere(one, &["CONFIG", "SET", "maxmemory", "1"])?;
                thread::sleep(PAUSE);
                everywhere(one, &["CONFIG", "SET", "maxmemory", "0"])
            }
        }
    }
}

fn everywhere(one: &One, words: &[&str]) -> Result<()> {
    one.state.servers().try_for_each(|node| node.connect()?.call(words).map(drop))
}

fn failover(one: &One, topology: Topology) -> Result<()> {
    if topology == Topology::Sentinel {
        let sentinel = one.state.sentinels().next().context("there are sentinels")?;
        return sentinel.connect()?.call(&["SENTINEL", "FAILOVER", SENTINEL_NAME]).map(drop);
    }
    // The first replica belongs to the first primary.
    let replica = one.state.nodes.get(one.state.nodes.len() / 2).context("there are replicas")?;
    replica.connect()?.call(&["CLUSTER", "FAILOVER"]).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_is_typed() {
        for fault in Fault::ALL {
            assert_eq!(Fault::from_str(fault.name(), false), Ok(fault));
        }
        assert_eq!(Fault::value_variants().len(), Fault::ALL.len());
    }

    #[test]
    fn only_failovers_lose_what_was_acknowledged() {
        assert!(Fault::ALL.iter().all(|fault| !fault.may_lose(Topology::Single)));
        assert!(!Fault::Kill.ends(Topology::Single) && Fault::Restart.ends(Topology::Single));
        assert!(Fault::ALL.iter().all(|fault| fault.ends(Topology::Sentinel) && fault.ends(Topology::Cluster)));
        assert!(Fault::Failover.may_lose(Topology::Sentinel) && !Fault::Failover.may_lose(Topology::Cluster));
        assert!(Fault::Stop.may_lose(Topology::Cluster) && !Fault::ClientKill.may_lose(Topology::Cluster));
    }
}
