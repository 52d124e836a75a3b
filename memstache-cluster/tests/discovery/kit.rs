//! Servers for one test each, and how they are told what to do.

use std::{
    env,
    fs::{self, File},
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use memstache_cluster::membership::SeedStream;
use tokio::time::timeout;

/// How long anything may take that is not measured.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The program that a variable names.
pub(crate) fn program(variable: &str) -> PathBuf {
    let path = env::var_os(variable).unwrap_or_else(|| panic!("{variable} is not set: `cargo xtask test` sets it"));
    PathBuf::from(path)
}

/// A folder for one test.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("memstache-discovery-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let file = self.0.join(name);
        fs::write(&file, text).unwrap();
        file
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A port that was free a moment ago, of this address.
pub(crate) fn free_port(ip: Ipv4Addr) -> u16 {
    TcpListener::bind((ip, 0)).unwrap().local_addr().unwrap().port()
}

/// A server's process, which is killed with this.
pub(crate) struct Server {
    program: PathBuf,
    words: Vec<String>,
    log: PathBuf,
    pub(crate) at: SocketAddr,
    child: Option<Child>,
}

impl Server {
    /// Starts a program and waits until it takes connections.
    pub(crate) fn start(program: PathBuf, words: &[&str], at: SocketAddr, folder: &Folder) -> Self {
        let words = words.iter().map(|&word| word.to_owned()).collect();
        let log = folder.path().join("server.log");
        let mut server = Self { program, words, log, at, child: None };
        server.resume();
        server
    }

    /// Starts it anew, at the same address.
    pub(crate) fn resume(&mut self) {
        let log = File::options().create(true).append(true).open(&self.log).unwrap();
        let mut command = Command::new(&self.program);
        command.args(&self.words).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.child = Some(command.spawn().unwrap());
        let end = Instant::now() + PATIENCE;
        while TcpStream::connect(self.at).is_err() {
            let said = || fs::read_to_string(&self.log).unwrap_or_default();
            let gone = self.child.as_mut().unwrap().try_wait().unwrap();
            assert!(gone.is_none() && Instant::now() < end, "{} is not ready: {}", self.program.display(), said());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        use rustix::process::{Pid, Signal, kill_process};

        let mut child = self.child.take().unwrap();
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return status;
            }
            if Instant::now() >= end {
                child.kill().unwrap();
                return child.wait().unwrap();
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Asks over HTTP; returns the status and the body.
pub(crate) fn http(at: SocketAddr, method: &str, path: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(at).unwrap();
    let len = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: {at}\r\nconnection: close\r\ncontent-length: {len}\r\n\r\n{body}"
    )
    .unwrap();
    // Not every server ends the connection when it is asked to: the head says where the answer ends.
    let (mut text, mut reader) = (String::new(), BufReader::new(stream));
    while !text.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut text).unwrap() > 0, "the head has an end: {text}");
    }
    let head = text.to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    let mut body = String::new();
    match length {
        Some(length) => reader.take(length).read_to_string(&mut body).unwrap(),
        None => reader.read_to_string(&mut body).unwrap(),
    };
    (head[9..12].parse().unwrap(), body)
}

/// Waits until a stream names these addresses.
pub(crate) async fn names(stream: &mut SeedStream, expected: &[SocketAddr]) {
    use futures_util::StreamExt as _;

    let mut last = None;
    let named = async {
        while let Some(seeds) = stream.next().await {
            if seeds == expected {
                return true;
            }
            last = Some(seeds);
        }
        false
    };
    let named = timeout(PATIENCE, named).await;
    assert_eq!(named, Ok(true), "{last:?} and not {expected:?}");
}

/// Waits until something that takes its time holds.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, holds: impl Fn() -> F) {
    let end = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < end, "{what}: not in time");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
