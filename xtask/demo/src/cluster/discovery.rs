//! By what the nodes find each other, and who tells the server for it that they are there.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail, ensure};
use memstache_cluster::membership::{GossipBuilder, StaticDiscovery};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::args::{Args, Discovery};

/// The service that stands for all nodes, in the zone that `cargo xtask up dns` serves.
const SERVICE: &str = "_gossip._udp.demo.memstache.test.";
const ZONE: &str = "memstache.test.";
/// The label of all nodes' pods.
const LABELS: &str = "app=memstache-demo";
const SUBJECT: &str = "memstache.demo";

/// By what nodes find each other, and where that is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Way {
    /// They are told the addresses of all.
    Static,
    /// A name server that takes updates.
    Dns(SocketAddr),
    Nats(String),
    /// A stub of the API server, and the kubeconfig by which nodes reach it.
    Kubernetes(SocketAddr, PathBuf),
}

impl Way {
    /// What was asked for; a file that it takes is written to the folder.
    pub(super) fn of(args: &Args, folder: &Path) -> Result<Self> {
        let at = || args.discovery_at.clone().context("--discovery-at is missing");
        Ok(match args.discovery {
            Discovery::Static => Self::Static,
            Discovery::Dns => Self::Dns(at()?.parse().context("--discovery-at must be an address and a port")?),
            Discovery::Nats => Self::Nats(at()?),
            Discovery::Kubernetes => {
                let url = at()?;
                let stub = url.strip_prefix("http://").and_then(|at| at.parse().ok());
                let stub = stub.context("--discovery-at must be http:// with an address and a port")?;
                let file = folder.join("kubeconfig");
                let config = json!({"apiVersion": "v1", "kind": "Config", "current-context": "demo",
                    "clusters": [{"name": "demo", "cluster": {"server": url}}], "users": [{"name": "demo", "user": {}}],
                    "contexts": [{"name": "demo", "context": {"cluster": "demo", "user": "demo", "namespace": "demo"}}]});
                fs::write(&file, config.to_string())?;
                Self::Kubernetes(stub, file)
            }
        })
    }

    /// Says that a node is there, as whoever runs nodes would: NATS is told by the nodes themselves.
    pub(super) fn announce(&self, name: &str, gossip: SocketAddr) -> Result<()> {
        match self {
            Self::Static | Self::Nats(_) => Ok(()),
            Self::Dns(server) => update(*server, name, gossip),
            Self::Kubernetes(stub, _) => put(*stub, name, gossip),
        }
    }

    /// Lets a node find the others; these are told to those that find nobody by themselves.
    pub(super) fn begin(&self, gossip: GossipBuilder, seeds: Vec<SocketAddr>) -> Result<GossipBuilder> {
        match self {
            Self::Static => Ok(gossip.discovery(StaticDiscovery::new(seeds))),
            way => provided(way, gossip),
        }
    }
}

#[cfg(feature = "discovery")]
fn provided(way: &Way, gossip: GossipBuilder) -> Result<GossipBuilder> {
    use memstache_cluster::discovery::{DnsDiscovery, KubernetesDiscovery, NatsDiscovery};

    Ok(match way {
        Way::Static => bail!("nodes are told the addresses of all"),
        Way::Dns(server) => gossip.discovery(DnsDiscovery::builder().server(*server).service(SERVICE).build()?),
        Way::Nats(server) => gossip.discovery(NatsDiscovery::builder(server, SUBJECT).build()?),
        Way::Kubernetes(_, file) => gossip.discovery(KubernetesDiscovery::pods(LABELS).kubeconfig(file, None).build()?),
    })
}

#[cfg(not(feature = "discovery"))]
fn provided(_: &Way, _: GossipBuilder) -> Result<GossipBuilder> {
    bail!("this was built without discovery by {SUBJECT}; `cargo xtask demo --discovery` builds it with it")
}

/// Adds a node to the service, by nsupdate.
fn update(server: SocketAddr, name: &str, gossip: SocketAddr) -> Result<()> {
    let mut child = Command::new("nsupdate").stdin(Stdio::piped()).spawn().context("nsupdate cannot be started")?;
    let (ip, port) = (gossip.ip(), gossip.port());
    let text = format!(
        "server {} {}\nzone {ZONE}\nupdate add {name}.{ZONE} 1 A {ip}\nupdate add {SERVICE} 1 SRV 0 0 {port} {name}.{ZONE}\nsend\n",
        server.ip(),
        server.port()
    );
    child.stdin.take().context("nsupdate reads")?.write_all(text.as_bytes())?;
    ensure!(child.wait()?.success(), "the name server took no update");
    Ok(())
}

/// Adds a node's pod to the stub.
fn put(stub: SocketAddr, name: &str, gossip: SocketAddr) -> Result<()> {
    let (key, value) = LABELS.split_once('=').context("a label has a value")?;
    let port = json!({"name": "gossip", "containerPort": gossip.port(), "protocol": "UDP"});
    let pod = json!({"kind": "Pod", "apiVersion": "v1",
        "metadata": {"name": name, "namespace": "demo", "uid": name, "labels": {key: value}},
        "spec": {"containers": [{"name": "node", "image": "demo", "ports": [port]}]},
        "status": {"phase": "Running", "podIP": gossip.ip().to_string()}});
    let body = pod.to_string();
    let mut stream = TcpStream::connect(stub).context("the stub of Kubernetes is not there")?;
    let len = body.len();
    write!(stream, "PUT /stub/objects HTTP/1.1\r\nhost: stub\r\ncontent-length: {len}\r\n\r\n{body}")?;
    let mut status = String::new();
    BufReader::new(stream).read_line(&mut status)?;
    ensure!(status.starts_with("HTTP/1.1 200"), "the stub of Kubernetes took no pod: {}", status.trim());
    Ok(())
}
