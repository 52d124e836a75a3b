//! A node's process, from the demo's side.

use std::{
    env,
    io::{BufRead as _, BufReader, Write as _},
    net::SocketAddr,
    process::{Child as Process, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use serde::{Serialize, de::DeserializeOwned};
use tokio::{task::spawn_blocking, time::timeout};

use super::{
    node::WORD,
    setup::{Hello, Ready, Report, Setup, Start},
};
use crate::{load::Connection, place::Shop};

/// How long a node may take to say something.
const PATIENCE: Duration = Duration::from_secs(60);

/// The status of what there is not.
const MISSING: u16 = 404;

/// A node's process; it is killed when this is dropped.
#[derive(Debug)]
pub(super) struct Child {
    pub(super) number: usize,
    pub(super) name: String,
    pub(super) gossip: SocketAddr,
    /// Known once it has started.
    pub(super) http: Option<SocketAddr>,
    /// Known once it has started, if it has an admin page.
    pub(super) admin: Option<SocketAddr>,
    process: Process,
    stdin: ChildStdin,
    /// Lent to the thread that reads.
    stdout: Option<BufReader<ChildStdout>>,
}

impl Child {
    /// Starts a process and tells it who it is.
    pub(super) async fn spawn(number: usize, setup: &Setup) -> Result<Self> {
        let program = env::current_exe().context("the program cannot find itself")?;
        let mut command = Command::new(program);
        command.arg(WORD).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().context("a node cannot be started")?;
        let stdin = process.stdin.take().context("a node has no input")?;
        let stdout = process.stdout.take().map(BufReader::new);
        let gossip = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut child =
            Self { number, name: setup.name.clone(), gossip, http: None, admin: None, process, stdin, stdout };
        child.tell(setup)?;
        child.gossip = child.hear::<Hello>().await?.gossip;
        Ok(child)
    }

    /// Tells it to start.
    pub(super) fn start(&mut self, start: &Start) -> Result<()> {
        self.tell(start)
    }

    /// Waits until it serves.
    pub(super) async fn ready(&mut self) -> Result<()> {
        let ready = self.hear::<Ready>().await?;
        (self.http, self.admin) = (Some(ready.http), ready.admin);
        Ok(())
    }

    /// Returns where it serves.
    pub(super) fn http(&self) -> Result<SocketAddr> {
        self.http.with_context(|| format!("{} has not started", self.name))
    }

    pub(super) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Asks it whom it sees.
    pub(super) async fn report(&self) -> Result<Report> {
        self.get(Shop(1), "/node").await
    }

    /// Asks it how often it has loaded each product of a shop.
    pub(super) async fn loads(&self, shop: Shop) -> Result<Vec<(u32, u64)>> {
        self.get(shop, "/loads").await
    }

    /// Asks it for a key that is no product's, of which the database is not asked; returns whether it was answered.
    pub(super) async fn probe(&self, number: u32) -> Result<bool> {
        let mut connection = Connection::open(self.http()?).await?;
        Ok(connection.get(Shop(1), &format!("/products/probe-{number}")).await?.status == MISSING)
    }

    async fn get<T: DeserializeOwned>(&self, shop: Shop, path: &str) -> Result<T> {
        let asked = async { Connection::open(self.http()?).await?.get(shop, path).await?.json() };
        asked.await.with_context(|| format!("{} does not tell how it is", self.name))
    }

    fn tell(&mut self, what: &impl Serialize) -> Result<()> {
        let mut line = serde_json::to_vec(what)?;
        line.push(b'\n');
        self.stdin.write_all(&line).with_context(|| format!("{} does not listen", self.name))
    }

    async fn hear<T: DeserializeOwned>(&mut self) -> Result<T> {
        let mut stdout = self.stdout.take().with_context(|| format!("{} is read already", self.name))?;
        let read = spawn_blocking(move || {
            let mut line = String::new();
            stdout.read_line(&mut line).map(|_| (stdout, line))
        });
        let (stdout, line) = timeout(PATIENCE, read).await.with_context(|| format!("{} is silent", self.name))???;
        self.stdout = Some(stdout);
        if line.is_empty() {
            bail!("{} ended before it served", self.name);
        }
        serde_json::from_str(&line).with_context(|| format!("{} says what it should not", self.name))
    }
}

impl Drop for Child {
    /// By SIGKILL, where there are signals: the others are told nothing.
    fn drop(&mut self) {
        let ended = self.process.kill().and_then(|()| self.process.wait());
        if let Err(error) = ended {
            eprintln!("{} could not be ended: {error}", self.name);
        }
    }
}
