//! The client by fred: the only file that knows it, beside the builder's and the listeners' connections.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use fred::{
    clients::Client as Driver,
    error::{Error as DriverError, ErrorKind as DriverKind},
    interfaces::{ClientLike, ClusterInterface, EventInterface},
    types::{
        ClusterHash, CustomCommand, Value,
        config::{Options, Server},
    },
};
use memstache_core::BoxFuture;
use parking_lot::RwLock;
use tokio::{runtime::Handle, task::AbortHandle, time};

use super::{Client, Command, Failure, Node, Reply, Topology, refusal::Refusal};

/// How often it is looked who is primary, and of what.
const LOOK: Duration = Duration::from_millis(200);
/// How long a driver that gave up rests before it is started again.
const REST: Duration = Duration::from_millis(250);
/// How long ending a connection in order may take.
const QUIT: Duration = Duration::from_secs(1);

/// Connections that commands are spread over by slot.
pub(crate) struct Lanes {
    pub(crate) drivers: Vec<Driver>,
    /// Whether they are started and ended here.
    pub(crate) owned: bool,
    pub(crate) client_name: Option<String>,
}

/// Speaks through fred.
pub(crate) struct FredClient {
    drivers: Vec<Driver>,
    owned: bool,
    topology: Arc<RwLock<Arc<Topology>>>,
    refusal: Refusal,
    tasks: Vec<AbortHandle>,
    closed: AtomicBool,
}

impl FredClient {
    /// Starts to connect, and keeps at it.
    pub(crate) fn start(lanes: Lanes, runtime: &Handle) -> Self {
        let Lanes { drivers, owned, client_name } = lanes;
        let topology = Arc::new(RwLock::new(Arc::new(look(&drivers[0]))));
        let (mut tasks, refusal) = (Vec::new(), Refusal::default());
        let mut spawn = |task: BoxFuture<'static, ()>| tasks.push(runtime.spawn(task).abort_handle());
        // One stands for all: they have the same credentials.
        spawn(Box::pin(refusal.clone().watch(drivers[0].clone())));
        for driver in &drivers {
            if let Some(name) = &client_name {
                spawn(Box::pin(name_connections(driver.clone(), name.clone())));
            }
            if owned {
                spawn(Box::pin(keep_running(driver.clone())));
            }
        }
        if !drivers[0].client_config().server.is_centralized() {
            spawn(Box::pin(keep_looking(drivers[0].clone(), Arc::clone(&topology))));
        }
        Self { drivers, owned, topology, refusal, tasks, closed: AtomicBool::new(false) }
    }

    fn lane(&self, slot: u16) -> &Driver {
        &self.drivers[usize::from(slot) % self.drivers.len()]
    }
}

/// Runs a driver, again when it gives up: a server that is half up is none yet, not a reason to stop.
async fn keep_running(driver: Driver) {
    while !matches!(driver.connect().await, Ok(Ok(()))) {
        time::sleep(REST).await;
    }
}

async fn keep_looking(driver: Driver, topology: Arc<RwLock<Arc<Topology>>>) {
    loop {
        time::sleep(LOOK).await;
        let seen = look(&driver);
        // While it connects anew nothing is known: the last that was known is the best guess.
        if !seen.nodes.is_empty() && **topology.read() != seen {
            *topology.write() = Arc::new(seen);
        }
    }
}

/// Names each connection as it is made.
async fn name_connections(driver: Driver, name: String) {
    let mut connected = driver.reconnect_rx();
    loop {
        let server = match connected.recv().await {
            Ok(server) => server,
            Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => continue,
            Err(tokio::sync::broadcast::error::RecvError::Closed) => return,
        };
        let node = driver.is_clustered().then_some(server);
        let options = Options { cluster_node: node, timeout: Some(QUIT), max_attempts: Some(1), ..Options::default() };
        let command = CustomCommand::new_static("CLIENT", ClusterHash::FirstKey, false);
        let args = vec!["SETNAME".to_owned(), name.clone()];
        if let Err(error) = driver.with_options(&options).custom_raw(command, args).await {
            tracing::debug!(kind = error.kind().to_str(), "a connection could not be named");
        }
    }
}

fn look(driver: &Driver) -> Topology {
    let config = driver.client_config();
    if config.server.is_clustered() {
        let mut nodes: Vec<Node> = Vec::new();
        for range in driver.cached_cluster_state().iter().flat_map(|state| state.slots()) {
            let mut found = node(&range.primary);
            match nodes.iter_mut().find(|node| node.is_at(&found)) {
                Some(known) => known.slots.push((range.start, range.end)),
                None => {
                    found.slots.push((range.start, range.end));
                    nodes.push(found);
                }
            }
        }
        nodes.iter_mut().for_each(|node| node.slots.sort_unstable());
        nodes.sort_unstable_by(|one, other| (&one.host, one.port).cmp(&(&other.host, other.port)));
        Topology { cluster: true, nodes }
    } else if config.server.is_sentinel() {
        Topology { cluster: false, nodes: driver.active_connections().iter().take(1).map(node).collect() }
    } else {
        Topology { cluster: false, nodes: config.server.hosts().iter().take(1).map(node).collect() }
    }
}

fn node(server: &Server) -> Node {
    #[cfg(feature = "tls")]
    let tls_name = server.tls_server_name.as_ref().map(ToString::to_string);
    #[cfg(not(feature = "tls"))]
    let tls_name = None;
    Node::new(server.host.to_string(), server.port, tls_name)
}

impl Client for FredClient {
    fn send(&self, slot: u16, command: Command, within: Duration) -> BoxFuture<'static, Result<Reply, Failure>> {
        let (driver, refusal) = (self.lane(slot).clone(), self.refusal.clone());
        Box::pin(async move {
            if let Some(code) = refusal.code().filter(|_| !driver.is_connected()) {
                return Err(Failure::Server(code));
            }
            // Once: what was cut off may have happened, and only the store knows what may be sent again.
            let options = Options { timeout: Some(within), max_attempts: Some(1), ..Options::default() };
            let kind = CustomCommand::new_static(command.name, ClusterHash::Custom(slot), false);
            let args: Vec<Value> = command.args.into_iter().map(Value::Bytes).collect();
            match driver.with_options(&options).custom_raw(kind, args).await {
                Ok(frame) => Reply::from_frame(frame),
                Err(error) => match (failure(&error), refusal.code()) {
                    // It waited for a connection that is not made.
                    (Failure::Timeout | Failure::Disconnected, Some(code)) if !driver.is_connected() => {
                        Err(Failure::Server(code))
                    }
                    (failure, _) => Err(failure),
                },
            }
        })
    }

    fn topology(&self) -> Arc<Topology> {
        Arc::clone(&self.topology.read())
    }

    fn refused(&self) -> Option<String> {
        self.refusal.code().filter(|_| !self.drivers[0].is_connected())
    }

    fn database(&self) -> u8 {
        self.drivers[0].client_config().database.unwrap_or(0)
    }

    fn reconnect(&self, _: u16) {
        let Ok(runtime) = Handle::try_current() else { return };
        // A driver that is not connected is at it already, and would do it twice.
        for driver in self.drivers.iter().filter(|driver| driver.is_connected()) {
            let driver = driver.clone();
            runtime.spawn(async move {
                if let Err(error) = driver.force_reconnection().await {
                    tracing::debug!(kind = error.kind().to_str(), "a connection could not be made anew");
                }
            });
        }
    }

    fn close(&self) {
        if self.closed.swap(true, Relaxed) {
            return;
        }
        self.tasks.iter().for_each(AbortHandle::abort);
        let Some(runtime) = self.owned.then(Handle::try_current).and_then(Result::ok) else { return };
        for driver in &self.drivers {
            let driver = driver.clone();
            runtime.spawn(async move {
                // In order if the server answers; the driver ends with its last handle in any case.
                let _ = time::timeout(QUIT, driver.quit()).await;
            });
        }
    }
}

impl Drop for FredClient {
    fn drop(&mut self) {
        self.close();
    }
}

fn failure(error: &DriverError) -> Failure {
    match error.kind() {
        DriverKind::Timeout => Failure::Timeout,
        DriverKind::Backpressure => Failure::Full,
        DriverKind::Auth => Failure::Server("NOAUTH".to_owned()),
        DriverKind::Protocol | DriverKind::Parse => Failure::Protocol,
        DriverKind::InvalidArgument | DriverKind::InvalidCommand | DriverKind::NotFound => {
            let word = error.details().split(' ').next().unwrap_or_default();
            let code = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_uppercase());
            Failure::Server(if code { word.to_owned() } else { "ERR".to_owned() })
        }
        _ => Failure::Disconnected,
    }
}

impl fmt::Debug for FredClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cluster = self.topology().cluster;
        f.debug_struct("FredClient")
            .field("lanes", &self.drivers.len())
            .field("cluster", &cluster)
            .finish_non_exhaustive()
    }
}

/// Returns the name by which a server knows a script.
pub(crate) fn sha1(source: &str) -> String {
    fred::util::sha1_hash(source)
}
