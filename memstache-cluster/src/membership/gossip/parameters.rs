//! The numbers of the protocol, and why they are what they are.
//!
//! Meant for nodes of one region. All are constants: nodes that disagree about them suspect each other.

use std::time::Duration;

use super::wire::HEADER;

/// The longest datagram: what fits the smallest MTU of IPv6 (1,280 bytes, RFC 8200) beside its own headers, so that none is
/// ever fragmented, whatever tunnels the network is made of (RFC 8085).
pub(super) const MAX_PACKET: usize = 1232;

/// The tag of the AEAD.
pub(super) const TAG: usize = 16;

/// What is left for the protocol.
pub(super) const MAX_BODY: usize = MAX_PACKET - HEADER - TAG;

/// Each node asks one other whether it is there, this often. With two or more survivors a crashed node is asked within three
/// periods, and suspected one period later: within 3 s.
pub(super) const PROBE_PERIOD: Duration = Duration::from_millis(800);

/// How long an answer may take before others are asked to try. Far above any round trip within a region, and short enough that
/// others still have half a second.
pub(super) const PROBE_TIMEOUT: Duration = Duration::from_millis(300);

/// How many others are asked to try.
pub(super) const INDIRECT_PROBES: usize = 3;

/// How long a suspect has to object before it is dead. A suspicion reaches 1,000 nodes in five rounds of gossip (1 s), the
/// objection as fast.
pub(super) const SUSPICION: Duration = Duration::from_secs(2);

/// How often news is passed on while there is any, and to how many. Nothing is sent while there is none.
pub(super) const GOSSIP_PERIOD: Duration = Duration::from_millis(200);
pub(super) const GOSSIP_FANOUT: usize = 3;

/// How often each piece of news is passed on by each node: 4 log10(1,000), as memberlist does it for 1,000 nodes.
pub(super) const TRANSMISSIONS: u8 = 12;

/// How often a node asks another whom it knows, which mends what loss tore.
pub(super) const ANNOUNCE_PERIOD: Duration = Duration::from_secs(10);

/// How often dead nodes are asked whether they live again, and how many. Both sides of a split do it, so that it heals
/// within two or three of these periods. Foca's own setting for LANs would take more than a minute.
pub(super) const DEAD_PERIOD: Duration = Duration::from_millis(1500);
pub(super) const DEAD_FANOUT: usize = 2;

/// How long the dead are remembered. Longer splits heal through the seeds.
pub(super) const FORGET_DEAD: Duration = Duration::from_secs(3600);

/// How often the seeds are asked who is there, and asked for. They may name a part of the cluster that we lost.
pub(super) const SEED_PERIOD: Duration = Duration::from_secs(15);
/// The same while nobody else is there: seeds and the dead are knocked at, and discovery is asked anew.
pub(super) const LONELY_PERIOD: Duration = Duration::from_secs(1);
pub(super) const LONELY_DISCOVERY: Duration = Duration::from_secs(2);
/// The most seeds that are knocked at in one go, and the most that are kept.
pub(super) const KNOCKS: usize = 5;
pub(super) const MAX_SEEDS: usize = 1024;
/// How long an address is knocked at that discovery names no more, while it names others.
pub(super) const SEED_MEMORY: Duration = Duration::from_secs(600);
/// How long discovery may take to answer, or to take note of this node.
pub(super) const DISCOVERY: Duration = Duration::from_secs(5);
/// How long it may take to forget this node: whoever stops waits for it.
pub(super) const DEREGISTER: Duration = Duration::from_secs(2);

/// How often the whole list of members is compared with that of one other node, where there is a stream for it, and from how
/// many members on: a datagram holds about so many.
pub(super) const SYNC_PERIOD: Duration = Duration::from_secs(30);
pub(super) const SYNC_FROM: usize = 8;
/// How long after it met the first other a node that was alone asks for the whole list: it may hear of more by then.
pub(super) const FIRST_SYNC: Duration = Duration::from_millis(20);

/// How long events are gathered before members change. Starts and losses come in crowds, and each change builds a table.
pub(super) const DEBOUNCE: Duration = Duration::from_millis(75);

/// News of leaving is sent this often, in case datagrams are lost.
pub(super) const FAREWELLS: u8 = 3;
pub(super) const FAREWELL_PERIOD: Duration = Duration::from_millis(60);

/// A node younger than this that meets its own name takes it over; an older one was replaced.
pub(super) const YOUNG: Duration = Duration::from_secs(10);

/// Nobody looked at the time for so long: this process was paused. Timers are put off by as much, or it would take everyone
/// for dead who could not answer meanwhile.
pub(super) const PAUSE: Duration = Duration::from_millis(1000);
/// The longest that a driver may wait before it calls again.
pub(super) const HEARTBEAT: Duration = Duration::from_millis(250);

/// Part of the periods that is left to chance, so that nodes that started together do not act together.
pub(super) const JITTER: f64 = 0.25;

/// Spread of sequence numbers within which datagrams may arrive out of order.
pub(super) const WINDOW: u64 = 128;
