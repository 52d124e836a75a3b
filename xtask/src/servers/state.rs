//! What runs, written to a file while it runs.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::{
    Service, Version,
    certificates::Certificates,
    config, folders, launch,
    pids::{self, Signal},
    resp::Connection,
};

const FILE: &str = "state.json";

/// A service that runs, or is about to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) service: Service,
    pub(crate) version: Version,
    /// Where clients find it; empty until it is ready.
    pub(crate) url: String,
    pub(crate) nodes: Vec<Node>,
    pub(crate) certificates: Option<Certificates>,
}

/// One server of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) pid: u32,
    pub(crate) folder: PathBuf,
    /// The port without TLS.
    pub(crate) port: u16,
    /// The port that clients are told: with TLS where the service has it.
    pub(crate) client_port: u16,
    /// The port for other members of the cluster.
    pub(crate) bus: Option<u16>,
    pub(crate) sentinel: bool,
}

impl State {
    /// What the folder says; `None` if it says nothing that can be understood.
    pub(crate) fn load(folder: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(folder.join(FILE)).ok()?).ok()
    }

    /// Writes it down as a whole or not at all.
    pub(crate) fn save(&self, folder: &Path) -> Result<()> {
        let (file, fresh) = (folder.join(FILE), folder.join("state.new"));
        fs::write(&fresh, serde_json::to_vec_pretty(self)?)
            .and_then(|()| fs::rename(&fresh, &file))
            .with_context(|| format!("{} cannot be written", file.display()))
    }

    /// Whether it was ready and all of its servers still run.
    pub(crate) fn is_up(&self) -> bool {
        !self.url.is_empty() && self.nodes.iter().all(Node::is_running)
    }

    /// The servers that hold data.
    pub(crate) fn servers(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| !node.sentinel)
    }

    pub(crate) fn sentinels(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.sentinel)
    }

    /// By which environment variables tests find it.
    pub(crate) fn variables(&self) -> Vec<(&'static str, String)> {
        let mut out = vec![(self.service.variable(), self.url.clone())];
        if let Some(files) = &self.certificates {
            let file = |path: &Path| path.display().to_string();
            out.extend([
                ("MEMSTACHE_REDIS_CA", file(&files.authority)),
                ("MEMSTACHE_REDIS_CLIENT_CERT", file(&files.client)),
                ("MEMSTACHE_REDIS_CLIENT_KEY", file(&files.client_key)),
            ]);
        }
        out
    }

    pub(crate) fn end(&self) -> Result<()> {
        self.nodes.iter().try_for_each(Node::end)
    }
}

impl Node {
    /// The file by whose name in the command line the process is known.
    pub(crate) fn config(&self) -> PathBuf {
        config::file(&self.folder)
    }

    pub(crate) fn is_running(&self) -> bool {
        pids::is_ours(self.pid, &self.config())
    }

    pub(crate) fn end(&self) -> Result<()> {
        pids::end(self.pid, &self.config()).with_context(|| self.name.clone())
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        pids::signal(self.pid, &self.config(), signal).with_context(|| self.name.clone())
    }

    /// Starts it anew over the same configuration, at the same ports, with nothing in it.
    pub(crate) fn restart(&mut self, program: &Path) -> Result<()> {
        let words = if self.sentinel { config::SENTINEL_WORDS } else { config::SERVER_WORDS };
        self.pid = launch::spawn(program, &self.folder, words).with_context(|| self.name.clone())?;
        Ok(())
    }

    pub(crate) fn connect(&self) -> Result<Connection> {
        Connection::open(self.port).with_context(|| self.name.clone())
    }
}

/// Ends every service below the folder, and removes the folder.
pub(crate) fn end_all(folder: &Path) -> Result<()> {
    for below in folders::subfolders(folder)? {
        end_at(&below)?;
    }
    folders::remove(folder)
}

/// Ends the service of the folder, and removes the folder. Returns what was there.
pub(crate) fn end_at(folder: &Path) -> Result<Option<State>> {
    let state = State::load(folder);
    if let Some(state) = &state {
        state.end()?;
    }
    // A server that was started, and was not yet written down when its starter was killed.
    pids::below(folder, config::FILE).into_iter().try_for_each(|pid| pids::end(pid, folder))?;
    folders::remove(folder)?;
    Ok(state)
}

#[cfg(test)]
mod tests {
    use super::{super::folders::Temporary, *};

    fn state(folder: &Path) -> State {
        let node = |name: &str, sentinel| Node {
            name: name.to_owned(),
            pid: 4_194_303,
            folder: folder.join(name),
            port: 21_001,
            client_port: 21_001,
            bus: None,
            sentinel,
        };
        State {
            service: Service::Sentinel,
            version: Version::Redis7,
            url: "redis-sentinel://127.0.0.1:21001".to_owned(),
            nodes: vec![node("server-1", false), node("sentinel-1", true)],
            certificates: None,
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = Temporary::new("state");
        let state = state(folder.path());
        assert_eq!(State::load(folder.path()), None);
        state.save(folder.path()).unwrap();
        assert_eq!(State::load(folder.path()), Some(state.clone()));
        assert_eq!((state.servers().count(), state.sentinels().count()), (1, 1));
        fs::write(folder.path().join(FILE), "{").unwrap();
        assert_eq!(State::load(folder.path()), None, "half a file says nothing");
    }

    #[test]
    fn servers_that_are_gone_are_not_up() {
        let folder = Temporary::new("gone");
        let state = state(folder.path());
        assert!(!state.is_up());
        assert!(state.nodes[0].signal(Signal::Stop).is_err());
        let inner = folder.path().join("inner");
        fs::create_dir(&inner).unwrap();
        state.save(&inner).unwrap();
        assert_eq!(end_at(&inner).unwrap(), Some(state), "nothing to end is no error");
        assert!(!inner.exists());
    }

    #[test]
    fn certificates_are_told_with_the_url() {
        let folder = Temporary::new("variables");
        let mut state = state(folder.path());
        assert_eq!(state.variables(), [("MEMSTACHE_SENTINEL_URL", state.url.clone())]);
        let certificates = Certificates::at(folder.path()).unwrap();
        let authority = certificates.authority.display().to_string();
        state.certificates = Some(certificates);
        assert_eq!(state.variables()[1], ("MEMSTACHE_REDIS_CA", authority));
        assert_eq!(state.variables().len(), 4);
    }
}
