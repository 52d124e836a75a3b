//! A node of the cluster: a process that the demo has started.

mod service;
mod source;
mod view;

use std::{
    io::{self, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::Arc,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use indicatif::ProgressBar;
use memstache_cluster::{
    ClusterConfig, Engine, KeySpace, Member, NodeName,
    admin::{Admin, AdminServer},
    membership::{Gossip, GossipSecret},
    net::{Datagrams as _, Tcp, Tls, Udp},
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::mpsc;

use self::{service::App, source::Products};
use super::{
    certificates,
    setup::{CLUSTER, Hello, Ready, Setup, Start},
};
use crate::{database::Database, shutdown::Shutdown};

/// The first word of a command line that asks for a node. For the demo itself, not for people.
pub(crate) const WORD: &str = "node";

/// The keyspace of the products.
const KEYSPACE: &str = "products";

/// Most bytes of products that a node holds: more than the demo can make up, so that nothing is evicted and loaded again.
const MAX_BYTES: usize = 4 << 30;

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Runs a node until the demo is gone.
pub(crate) fn run() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let ended = runtime.block_on(node(Lines::read()));
    // Nobody waits for what is under way.
    runtime.shutdown_timeout(Duration::ZERO);
    ended
}

async fn node(mut lines: Lines) -> Result<()> {
    let setup: Setup = lines.next().await?;
    let socket = Udp::bind(LOOPBACK).await?;
    let gossips_at = socket.local_addr()?;
    tell(&Hello { gossip: gossips_at })?;
    let start: Start = lines.next().await?;

    let database = Database::open(&setup.database, setup.size(), &ProgressBar::hidden(), &Shutdown::new())?;
    let database = Arc::new(database.with_distance(Duration::from_millis(setup.distance)));
    // A port that was free a moment ago: others are told before the engine listens.
    let address = TcpListener::bind(LOOPBACK)?.local_addr()?;
    let me = Member::new(setup.name.parse::<NodeName>()?, address).with_gossip(gossips_at);
    let gossip = Gossip::builder(CLUSTER, me.clone()).secret(GossipSecret::new(&setup.secret)?);
    let gossip = setup.way.begin(gossip, start.seeds)?.start(Arc::new(socket))?;
    let tls = Tls::over(Tcp::new(), certificates::tls(&setup.folder, &setup.name))?;
    let cluster = ClusterConfig::new(CLUSTER, me, gossip)
        .transport(tls)
        .bind(address)
        .secret(&setup.secret)
        .minimum_peers_quorum(start.quorum);
    let source = Products::new(Arc::clone(&database), setup.shops);
    let products = KeySpace::builder(KEYSPACE).max_bytes(MAX_BYTES).source(source).build()?;
    let engine = Engine::builder().keyspace(products).cluster(cluster).build()?;
    let view = view::follow(&engine);
    // Kept until the node ends.
    let admin = match setup.token {
        Some(token) => Some(Admin::builder(&engine).read_token(token).bind(LOOPBACK).build()?.serve().await?),
        None => None,
    };
    engine.start().await?;
    let app = App { name: setup.name, shops: setup.shops, engine, database, view };
    let admin = admin.as_ref();
    tell(&Ready { http: service::start(app).await?, admin: admin.map(AdminServer::local_addr) })?;
    lines.end().await;
    Ok(())
}

/// What the demo says, a line at a time; it ends when the demo does.
struct Lines(mpsc::Receiver<String>);

impl Lines {
    fn read() -> Self {
        let (sender, lines) = mpsc::channel(1);
        // A thread of its own: no read of standard input can be given up.
        thread::spawn(move || {
            for line in io::stdin().lines().map_while(Result::ok) {
                if sender.blocking_send(line).is_err() {
                    return;
                }
            }
        });
        Self(lines)
    }

    async fn next<T: DeserializeOwned>(&mut self) -> Result<T> {
        let line = self.0.recv().await.context("the demo that started this node is gone")?;
        serde_json::from_str(&line).context("a line of the demo is not what it should be")
    }

    async fn end(&mut self) {
        while self.0.recv().await.is_some() {}
    }
}

fn tell(what: &impl Serialize) -> Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, what)?;
    out.write_all(b"\n")?;
    Ok(out.flush()?)
}
