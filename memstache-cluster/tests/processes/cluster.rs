//! Nodes that found each other.

use std::{collections::BTreeSet, fs, path::PathBuf, thread, time::Duration};

use memstache_cluster::{NodeId, Table, Weight};
use memstache_core::{Clock as _, SystemClock, Tick};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use crate::{
    node::{SOURCED, Setup},
    process::{Process, free},
};

/// How long nodes may take to agree when they start: several seconds, and more on a busy machine.
pub(crate) const STARTED_WITHIN: Duration = Duration::from_secs(30);
/// How long they may take to agree after one came back.
pub(crate) const AGREED_WITHIN: Duration = Duration::from_secs(10);
/// Keys that are read through all nodes at once, to see whether each is loaded once.
const PROBES: u64 = 32;

pub(crate) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn now() -> Tick {
    SystemClock::new().now()
}

pub(crate) fn since(tick: Tick) -> Duration {
    now().since(tick)
}

/// Certificates for nodes of these names, in a folder.
fn certificates(names: &[String]) -> String {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("nodes-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let key = KeyPair::generate().unwrap();
    fs::write(folder.join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
    let authority = Issuer::new(params, key);
    for name in names {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new([name.clone()]).unwrap().signed_by(&key, &authority).unwrap();
        fs::write(folder.join(format!("{name}.pem")), certificate.pem()).unwrap();
        fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
    folder.to_str().unwrap().to_owned()
}

/// Starts so many nodes at once, and waits until they agree.
pub(crate) fn start(count: usize, tls: bool) -> Vec<Process> {
    let began = now();
    let names: Vec<String> = (0..count).map(|n| format!("node-{n}")).collect();
    let folder = tls.then(|| certificates(&names));
    let gossips: Vec<_> = (0..count).map(|_| free()).collect();
    let setup = |(name, gossip): (&String, &_)| Setup {
        name: name.clone(),
        peers: free(),
        gossip: *gossip,
        seeds: gossips.clone(),
        quorum: count,
        certificates: folder.clone(),
    };
    let nodes: Vec<Process> = names.iter().zip(&gossips).map(setup).map(Process::start).collect();
    nodes.iter().for_each(Process::ready);
    if let Some(folder) = folder {
        // They have been read.
        fs::remove_dir_all(folder).unwrap();
    }
    let seen = agreed(&nodes.iter().collect::<Vec<_>>(), STARTED_WITHIN);
    settled(&nodes, began);
    println!("{count} nodes saw each other after {seen:?}, and answered for their keys after {:?}", since(began));
    nodes
}

/// Waits until the nodes see each other and nobody else; returns how long it took.
pub(crate) fn agreed(nodes: &[&Process], within: Duration) -> Duration {
    let began = now();
    let names: BTreeSet<&str> = nodes.iter().map(|node| node.setup.name.as_str()).collect();
    let names = names.into_iter().collect::<Vec<_>>().join(",");
    loop {
        let seen: BTreeSet<String> = nodes.iter().map(|node| node.ask("members")).collect();
        let one = seen.first().filter(|_| seen.len() == 1);
        if one.is_some_and(|seen| seen.split_once(' ').is_some_and(|(_, seen)| seen == names)) {
            return since(began);
        }
        assert!(since(began) < within, "after {within:?} {names} see {seen:?}");
        thread::sleep(millis(20));
    }
}

/// Waits until no node reads another's keys from its own source.
fn settled(nodes: &[Process], began: Tick) {
    for round in 0.. {
        let before = loads(nodes);
        for probe in 0..PROBES {
            let ask = format!("get {SOURCED} probe-{round}-{probe}");
            let asked: Vec<_> = nodes.iter().map(|node| node.tell(&ask)).collect();
            asked.into_iter().for_each(|answer| drop(answer.recv().unwrap()));
        }
        if loads(nodes) - before == PROBES {
            return;
        }
        assert!(since(began) < STARTED_WITHIN, "they do not agree who owns what");
    }
}

/// How often the sources of all were asked.
pub(crate) fn loads(nodes: &[Process]) -> u64 {
    nodes.iter().map(|node| node.ask("asked").parse::<u64>().unwrap()).sum()
}

/// The keys of a keyspace with this beginning that a node of these owns.
pub(crate) fn keys_of(
    owner: &Process,
    nodes: &[Process],
    keyspace: &str,
    beginning: &str,
    count: usize,
) -> Vec<String> {
    let id = |node: &Process| NodeId::of(&node.setup.name.parse().unwrap());
    let members: Vec<_> = nodes.iter().map(|node| (id(node), Weight::default())).collect();
    let table = Table::build(&members).unwrap();
    let owned = |key: &String| table.owner_of(format!(":{keyspace}:{key}").as_bytes()) == Some(id(owner));
    (0..).map(|n| format!("{beginning}{n}")).filter(owned).take(count).collect()
}
