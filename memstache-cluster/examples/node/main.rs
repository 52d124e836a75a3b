//! `memstache-node`: a node of a cluster as a program of its own, configured by a file and by variables.
//!
//! ```console
//! $ memstache-node node.toml          # runs until SIGTERM or Ctrl-C, then hands over what it holds, and leaves
//! $ memstache-node --check node.toml  # says what is wrong with the file and the variables
//! ```
//!
//! `node.toml` beside this file has every setting and its default; a variable such as `MEMSTACHE_NODE__ADVERTISE` goes before
//! the file. It keeps keyspaces without a source of their own: services that embed a node of the same cluster load them.

#![allow(clippy::print_stderr, clippy::print_stdout, reason = "a program says there how it is")]

mod health;
mod settings;

use std::{env, error::Error, fs, net::SocketAddr, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use memstache_cluster::{
    ClusterConfig, Engine, KeySpace, Member, NodeName,
    admin::{Admin, AdminServer},
    discovery::{DnsDiscovery, KubernetesDiscovery, NatsDiscovery},
    membership::{Gossip, GossipBuilder, GossipSecret, StaticDiscovery},
    net::{Pem, Tcp, Tls, TlsConfig, Udp, Watching},
};
use memstache_core::{Clock as _, SystemClock, config::CacheConfig};

use self::settings::{Discovery, Node};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// How often certificates are looked at for new ones.
const CERTIFICATES: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> ExitCode {
    let words: Vec<_> = env::args().skip(1).collect();
    let done = match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["--check", file] => settings::read(&CacheConfig::new().file(file).env()).map(drop).map_err(Into::into),
        [file] => run(file).await,
        _ => Err("usage: memstache-node [--check] FILE".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("memstache-node: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(file: &str) -> Result<()> {
    let (node, discovery) = settings::read(&CacheConfig::new().file(file).env())?;
    let secret =
        fs::read(&node.secret).map_err(|error| format!("{} cannot be read: {error}", node.secret.display()))?;
    let me = member(&node)?;
    let gossip = Gossip::builder(&node.cluster, me.clone()).secret(GossipSecret::new(&secret)?);
    let gossip = with(gossip, discovery, &node)?.start(Arc::new(Udp::bind(node.gossip).await?))?;
    let cluster =
        ClusterConfig::new(&node.cluster, me, gossip).bind(node.bind).secret(&secret).minimum_peers_quorum(node.quorum);
    // Certificates are read anew as long as this is held.
    let (cluster, _watching) = with_tls(cluster, &node)?;
    let mut builder = Engine::builder().cluster(cluster).shutdown_timeout(node.shutdown);
    for keyspace in &node.keyspaces {
        let built = KeySpace::builder(&keyspace.name).max_bytes(keyspace.max_bytes);
        let built = keyspace.default_ttl.into_iter().fold(built, |built, ttl| built.default_ttl(ttl));
        builder = builder.keyspace(built.build()?);
    }
    let engine = builder.build()?;
    let _health = health::Health::listen(node.health, &engine).await?;
    // Before the start: the page shows how the node joins.
    let _admin = admin(&engine, node.admin).await?;
    let started = tokio::select! {
        started = engine.start() => Some(started),
        () = stop() => None,
    };
    if let Some(Ok(())) = started {
        println!("memstache-node: {} takes part in {}", node.advertise, node.cluster);
        stop().await;
    }
    engine.stop().await?;
    Ok(started.unwrap_or(Ok(()))?)
}

/// Serves the admin endpoints, if they are wanted, until what it returns is dropped.
async fn admin(engine: &Engine, wanted: Option<settings::Admin>) -> Result<Option<AdminServer>> {
    let Some(settings::Admin { at, read_token, write_token }) = wanted else { return Ok(None) };
    let admin = Admin::builder(engine).bind(at);
    let admin = read_token.into_iter().fold(admin, |admin, token| admin.read_token(token));
    let admin = write_token.into_iter().fold(admin, |admin, token| admin.write_token(token));
    Ok(Some(admin.build()?.serve().await?))
}

/// This node, as others are to reach it.
fn member(node: &Node) -> Result<Member> {
    let at = |bound: SocketAddr| SocketAddr::new(node.advertise, bound.port());
    let name = node.name.clone().unwrap_or_else(|| at(node.bind).to_string());
    let me = Member::new(name.parse::<NodeName>()?, at(node.bind)).with_gossip(at(node.gossip));
    Ok(match &node.zone {
        Some(zone) => me.with_zone(zone.parse()?),
        None => me,
    })
}

fn with(gossip: GossipBuilder, discovery: Discovery, node: &Node) -> Result<GossipBuilder> {
    Ok(match discovery {
        Discovery::Static(seeds) => {
            let seeds: Vec<SocketAddr> =
                seeds.iter().map(|seed| seed.parse()).collect::<std::result::Result<_, _>>()?;
            gossip.discovery(StaticDiscovery::new(seeds))
        }
        Discovery::Dns { name, service } => {
            let dns = DnsDiscovery::builder();
            let dns = name.into_iter().fold(dns, |dns, name| dns.addresses(name, node.gossip.port()));
            gossip.discovery(service.into_iter().fold(dns, |dns, service| dns.service(service)).build()?)
        }
        Discovery::Kubernetes { labels, service, namespace, port_name } => {
            let found = match (labels, service) {
                (Some(labels), None) => KubernetesDiscovery::pods(labels),
                (None, Some(service)) => KubernetesDiscovery::service(service),
                _ => return Err("discovery must have either labels or service".into()),
            };
            let found = namespace.into_iter().fold(found, |found, namespace| found.namespace(namespace));
            gossip.discovery(found.port_name(port_name).build()?)
        }
        Discovery::Nats { server, subject, user, password, token, ca } => {
            let nats = NatsDiscovery::builder(server, subject);
            let nats = match (user, password, token) {
                (Some(user), Some(password), None) => nats.user_and_password(user, password),
                (None, None, Some(token)) => nats.token(token),
                (None, None, None) => nats,
                _ => return Err("discovery must have user and password, or token, or none of them".into()),
            };
            gossip.discovery(ca.into_iter().fold(nats, |nats, ca| nats.ca(ca)).build()?)
        }
    })
}

fn with_tls(cluster: ClusterConfig, node: &Node) -> Result<(ClusterConfig, Option<Watching>)> {
    let Some(tls) = &node.tls else { return Ok((cluster, None)) };
    let pem = |file: &PathBuf| Pem::file(file);
    let config = TlsConfig::new(pem(&tls.ca), pem(&tls.certificate), pem(&tls.key));
    let config = tls.name.iter().fold(config, |config, name| config.with_server_name(name));
    let tls = Tls::over(Tcp::new(), config)?;
    let watching = tls.watch(CERTIFICATES, Arc::new(SystemClock::new()))?;
    Ok((cluster.transport(tls), Some(watching)))
}

/// Waits until the program is to end.
async fn stop() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};

        // Without handlers there is Ctrl-C alone.
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    if tokio::signal::ctrl_c().await.is_err() {
        SystemClock::new().sleep_until(memstache_core::Tick::NEVER).await;
    }
}
