//! A node, from the test's side.

use std::{
    collections::HashMap,
    env,
    io::{BufRead as _, BufReader, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::node::Setup;

/// By what a process learns that it is a node.
pub(crate) const NODE: &str = "MEMSTACHE_TEST_NODE";
/// What an answer begins with, to tell it from what else is printed.
pub(crate) const MARK: char = '@';

/// How long a node may take to answer anything: more than any deadline.
const PATIENCE: Duration = Duration::from_secs(40);

type Waiting = Arc<Mutex<HashMap<u64, mpsc::Sender<String>>>>;

/// A node's process; it is killed when this is dropped.
pub(crate) struct Process {
    pub(crate) setup: Setup,
    child: Child,
    input: Mutex<(u64, ChildStdin)>,
    waiting: Waiting,
    ready: Mutex<mpsc::Receiver<String>>,
}

impl Setup {
    /// A node that knows of no other.
    pub(crate) fn alone() -> Self {
        let (peers, gossip) = (free(), free());
        Self { name: "alone".to_owned(), peers, gossip, seeds: vec![gossip], quorum: 1, certificates: None }
    }
}

/// An address that nothing has, of those that are given to nobody who does not ask for them.
pub(crate) fn free() -> SocketAddr {
    loop {
        let at = SocketAddr::from((Ipv4Addr::LOCALHOST, fastrand::u16(12_000..32_000)));
        if TcpListener::bind(at).is_ok() && UdpSocket::bind(at).is_ok() {
            return at;
        }
    }
}

impl Process {
    /// Starts a node; it is not ready yet.
    pub(crate) fn start(setup: Setup) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["node::a_node", "--exact", "--nocapture"]).env(NODE, setup.words());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let input = Mutex::new((0, child.stdin.take().unwrap()));
        let (said, ready) = mpsc::channel();
        let waiting: Waiting = Arc::new(Mutex::new(HashMap::from([(0, said)])));
        let (output, answers) = (child.stdout.take().unwrap(), Arc::clone(&waiting));
        thread::spawn(move || hear(output, &answers));
        Self { setup, child, input, waiting, ready: Mutex::new(ready) }
    }

    /// Waits until it serves.
    pub(crate) fn ready(&self) {
        let said = self.ready.lock().unwrap().recv_timeout(PATIENCE);
        assert_eq!(said.as_deref(), Ok("ready"), "{} does not serve", self.setup.name);
    }

    /// Asks it for something; the answer is that it is gone if it ends before it answers.
    pub(crate) fn ask(&self, what: &str) -> String {
        self.tell(what).recv_timeout(PATIENCE).unwrap_or_else(|error| match error {
            mpsc::RecvTimeoutError::Disconnected => "gone".to_owned(),
            mpsc::RecvTimeoutError::Timeout => panic!("{} did not answer {what:?}", self.setup.name),
        })
    }

    /// Asks it for something, and does not wait.
    pub(crate) fn tell(&self, what: &str) -> mpsc::Receiver<String> {
        let (sender, answer) = mpsc::channel();
        let mut input = self.input.lock().unwrap();
        input.0 += 1;
        let id = input.0;
        self.waiting.lock().unwrap().insert(id, sender);
        if writeln!(input.1, "{id} {what}").is_err() {
            self.waiting.lock().unwrap().remove(&id);
        }
        answer
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).unwrap();
        kill_process(id, signal).unwrap();
    }

    /// Kills it, as by `kill -9`, and waits until it is gone.
    pub(crate) fn kill(mut self) -> Setup {
        self.signal(Signal::KILL);
        self.child.wait().unwrap();
        self.setup.clone()
    }
}

/// Takes answers to those who wait for them, until the node has ended.
fn hear(output: ChildStdout, waiting: &Waiting) {
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        let Some((id, answer)) = line.strip_prefix(MARK).and_then(|line| line.split_once(' ')) else { continue };
        if let Some(waits) = waiting.lock().unwrap().remove(&id.parse().unwrap()) {
            // Who gave up does not care.
            let _ = waits.send(answer.to_owned());
        }
    }
    waiting.lock().unwrap().clear();
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that has ended already is only waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
