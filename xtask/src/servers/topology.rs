//! Which servers a service has, how they are brought together, and when they are ready.

use std::{iter, path::Path, time::Duration};

use anyhow::{Context as _, Result, bail};

use super::{
    Service,
    certificates::Certificates,
    config::{Part, Plan, SENTINEL_NAME, Tls},
    discovery, ports, ready,
    resp::{Connection, Reply},
    state::{Node, State},
};

const PRIMARIES: usize = 3;
const REPLICAS: usize = 2;
const SENTINELS: usize = 3;

/// What is to be started, in stages: a stage begins when the one before it is ready.
pub(super) fn plans(
    service: Service,
    folder: &Path,
    certificates: Option<&Certificates>,
    patience: Duration,
) -> Result<Vec<Vec<Plan>>> {
    let tls = |mutual| -> Result<Option<Tls>> {
        let Some(files) = certificates else { return Ok(None) };
        let (authority, certificate, key) = (files.authority.clone(), files.server.clone(), files.server_key.clone());
        Ok(Some(Tls { port: port()?, authority, certificate, key, mutual }))
    };
    let plan = |name: String, tls, part| -> Result<Plan> {
        Ok(Plan { folder: folder.join(&name), name, port: port()?, tls, part })
    };
    match service {
        Service::Redis | Service::RedisTls => Ok(vec![vec![plan("server-1".to_owned(), tls(true)?, Part::Primary)?]]),
        Service::Sentinel => {
            let first = plan("server-1".to_owned(), None, Part::Primary)?;
            let primary = first.port;
            let replicas = (2..2 + REPLICAS).map(|n| plan(format!("server-{n}"), None, Part::Replica { primary }));
            let servers = [Ok(first)].into_iter().chain(replicas).collect::<Result<_>>()?;
            let sentinel = |n| plan(format!("sentinel-{n}"), None, Part::Sentinel { primary, patience });
            // A sentinel that finds a primary without replicas asks again ten seconds later.
            Ok(vec![servers, (1..=SENTINELS).map(sentinel).collect::<Result<_>>()?])
        }
        Service::Nats | Service::Dns | Service::KubeStub => {
            Ok(vec![vec![plan(service.name().to_owned(), None, Part::Discovery(service))?]])
        }
        Service::Cluster | Service::ClusterTls => {
            let member = |n| plan(format!("server-{n}"), tls(false)?, Part::Member { bus: port()?, patience });
            Ok(vec![(1..=2 * PRIMARIES).map(member).collect::<Result<_>>()?])
        }
    }
}

fn port() -> Result<u16> {
    Ok(ports::take(1)?[0])
}

/// Brings the members of a cluster together: primaries first, then as many replicas.
pub(super) fn form(nodes: &[Node], mut wait: impl FnMut(&mut dyn FnMut() -> Result<()>) -> Result<()>) -> Result<()> {
    let primaries = nodes.len() / 2;
    let mut ids = Vec::with_capacity(nodes.len());
    for (at, node) in nodes.iter().enumerate() {
        let mut connection = node.connect()?;
        // Each its own, so that none has to be settled between them.
        connection.call(&["CLUSTER", "SET-CONFIG-EPOCH", &(at + 1).to_string()])?;
        if let Some((first, last)) = slots(at, primaries) {
            connection.call(&["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &last.to_string()])?;
        }
        ids.push(connection.text(&["CLUSTER", "MYID"])?);
    }
    // Each meets all that follow: nobody waits for gossip.
    for (at, node) in nodes.iter().enumerate() {
        let mut connection = node.connect()?;
        for other in &nodes[at + 1..] {
            let bus = other.bus.context("a member of a cluster has a bus port")?;
            let (port, bus) = (other.client_port.to_string(), bus.to_string());
            connection.call(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus])?;
        }
    }
    for (at, node) in nodes.iter().enumerate().skip(primaries) {
        let mut connection = node.connect()?;
        // Refused until it has met its primary.
        wait(&mut || connection.call(&["CLUSTER", "REPLICATE", &ids[at - primaries]]).map(drop))?;
    }
    Ok(())
}

/// The slots of a primary: equal shares of all.
fn slots(at: usize, primaries: usize) -> Option<(usize, usize)> {
    let share = |at| usize::from(ready::SLOTS) * at / primaries;
    (at < primaries).then(|| (share(at), share(at + 1) - 1))
}

/// An error that says what is lacking, as long as something is.
pub(super) fn check(state: &State) -> Result<()> {
    for node in &state.nodes {
        check_node(state, node).with_context(|| node.name.clone())?;
    }
    Ok(())
}

fn check_node(state: &State, node: &Node) -> Result<()> {
    if !state.service.is_redis() {
        return discovery::answers(node.port);
    }
    let mut connection = node.connect()?;
    // Refused while it loads.
    connection.call(&["PING"])?;
    let lacking = if node.sentinel {
        sentinel_lacks(state, &mut connection)?
    } else if state.service == Service::Sentinel {
        server_lacks(state, &mut connection)?
    } else if state.service.is_cluster() {
        let (info, nodes) = (connection.text(&["CLUSTER", "INFO"])?, connection.text(&["CLUSTER", "NODES"])?);
        match ready::cluster_lacks(&info, &nodes, PRIMARIES) {
            Some(lacking) => Some(lacking),
            None => ready::link_lacks(&connection.text(&["INFO", "replication"])?),
        }
    } else {
        None
    };
    lacking.map_or(Ok(()), |lacking| bail!(lacking))
}

/// What a server that sentinels will watch lacks.
fn server_lacks(state: &State, connection: &mut Connection) -> Result<Option<String>> {
    let info = connection.text(&["INFO", "replication"])?;
    let is_primary = ready::fields(&info).get("role") == Some(&"master");
    let (online, wanted) = (ready::replicas_online(&info), state.servers().count() - 1);
    if is_primary && online != wanted {
        return Ok(Some(format!("{online} of {wanted} replicas are online")));
    }
    Ok(ready::link_lacks(&info))
}

fn sentinel_lacks(state: &State, connection: &mut Connection) -> Result<Option<String>> {
    let replicas = state.servers().count() - 1;
    let primary = connection.call(&["SENTINEL", "MASTER", SENTINEL_NAME])?.texts();
    if let Some(lacking) = ready::sentinel_lacks(&primary, replicas, state.sentinels().count() - 1) {
        return Ok(Some(lacking));
    }
    let Reply::List(watched) = connection.call(&["SENTINEL", "REPLICAS", SENTINEL_NAME])? else {
        bail!("SENTINEL REPLICAS: not a list");
    };
    Ok(ready::watched_lacks(&watched.iter().map(Reply::texts).collect::<Vec<_>>()))
}

/// Where clients find the service, in the way of fred's URLs.
pub(super) fn url(state: &State) -> String {
    let entry = |nodes: Vec<&Node>| -> String {
        let places = nodes.iter().map(|node| format!("127.0.0.1:{}", node.client_port));
        let signs = ["", "?node="].into_iter().chain(iter::repeat("&node="));
        signs.zip(places).map(|(sign, place)| format!("{sign}{place}")).collect()
    };
    let all = entry(state.servers().collect());
    match state.service {
        Service::Nats => format!("nats://{all}"),
        Service::Dns => all,
        Service::KubeStub => format!("http://{all}"),
        Service::Redis => format!("redis://{all}"),
        Service::RedisTls => format!("rediss://{all}"),
        Service::Cluster => format!("redis-cluster://{all}"),
        Service::ClusterTls => format!("rediss-cluster://{all}"),
        Service::Sentinel => {
            let sentinels = entry(state.sentinels().collect());
            format!("redis-sentinel://{sentinels}&sentinelServiceName={SENTINEL_NAME}")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{super::Version, *};

    fn state(service: Service, ports: &[u16], sentinels: &[u16]) -> State {
        let node = |port: u16, sentinel| Node {
            name: "a".to_owned(),
            pid: 1,
            folder: PathBuf::from("/t"),
            port: port + 100,
            client_port: port,
            bus: None,
            sentinel,
        };
        let servers = ports.iter().map(|port| node(*port, false));
        let nodes = servers.chain(sentinels.iter().map(|port| node(*port, true))).collect();
        State { service, version: Version::Redis7, url: String::new(), nodes, certificates: None }
    }

    #[test]
    fn slots_are_shared_out_without_gaps() {
        assert_eq!(
            (0..3).map(|at| slots(at, 3).unwrap()).collect::<Vec<_>>(),
            [(0, 5460), (5461, 10_921), (10_922, 16_383)]
        );
        assert_eq!(slots(3, 3), None);
    }

    #[test]
    fn urls_name_what_clients_ask_first() {
        assert_eq!(url(&state(Service::Redis, &[1], &[])), "redis://127.0.0.1:1");
        assert_eq!(url(&state(Service::RedisTls, &[1], &[])), "rediss://127.0.0.1:1");
        assert_eq!(
            url(&state(Service::Cluster, &[1, 2, 3], &[])),
            "redis-cluster://127.0.0.1:1?node=127.0.0.1:2&node=127.0.0.1:3"
        );
        assert_eq!(
            url(&state(Service::Sentinel, &[1, 2], &[7, 8])),
            "redis-sentinel://127.0.0.1:7?node=127.0.0.1:8&sentinelServiceName=memstache"
        );
    }

    #[test]
    fn every_server_has_its_own_ports() {
        let plans = plans(Service::Cluster, Path::new("/t"), None, Duration::from_secs(1)).unwrap();
        let mut ports = Vec::new();
        for plan in &plans[0] {
            let Part::Member { bus, .. } = plan.part else { panic!("{plan:?}") };
            ports.extend([plan.port, bus]);
        }
        assert_eq!(ports.len(), 12);
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 12);
    }

    #[test]
    fn sentinels_come_after_what_they_watch() {
        let plans = plans(Service::Sentinel, Path::new("/t"), None, Duration::from_secs(1)).unwrap();
        assert_eq!(plans.iter().map(Vec::len).collect::<Vec<_>>(), [3, 3]);
        assert!(plans[1].iter().all(Plan::is_sentinel) && !plans[0].iter().any(Plan::is_sentinel));
    }
}
