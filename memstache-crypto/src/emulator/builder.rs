//! Building and running an emulator.

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

use memstache_core::{Clock, Error, ErrorKind, Result, SystemClock};
use parking_lot::Mutex;
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

use super::{
    calls::{Calls, Counters},
    faults::Faults,
    front::Front,
    server::Server,
    state_file::StateFile,
    tls,
    vault::{State, Vault},
};
use crate::random::{Random, SystemRandom};

/// A running emulator of Azure Key Vault: a real HTTP server with the secrets and keys planes, for development and tests.
///
/// It checks names and sizes, keeps versions, deletes softly, challenges clients without a token, and does real RSA.
/// It knows no permissions: any token opens it, or the one it was told. Never put anything of value into it.
///
/// Dropping it ends it at once; [`shutdown`](Self::shutdown) lets open requests finish.
///
/// ```
/// use memstache_crypto::emulator::{Emulator, Operation};
///
/// # #[tokio::main]
/// # async fn main() -> memstache_core::Result<()> {
/// let emulator = Emulator::builder().address(([127, 0, 0, 1], 0).into()).start().await?;
/// assert!(emulator.base_url().starts_with("http://127.0.0.1:"));
/// assert_eq!(emulator.calls().of(Operation::UnwrapKey), 0);
/// emulator.shutdown().await;
/// # Ok(())
/// # }
/// ```
pub struct Emulator {
    front: Arc<Front>,
    address: SocketAddr,
    certificate: Option<String>,
    end: watch::Sender<bool>,
    task: Option<JoinHandle<()>>,
}

impl Emulator {
    /// Starts a builder: `127.0.0.1:5000`, HTTP, in memory, any token, no faults.
    pub fn builder() -> EmulatorBuilder {
        EmulatorBuilder::default()
    }

    /// Returns the address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns what clients are given as the address of the vault, without a slash at its end.
    pub fn base_url(&self) -> String {
        let scheme = if self.certificate.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// Returns the certificate that clients have to trust, as PEM; `None` without TLS.
    pub fn certificate_pem(&self) -> Option<&str> {
        self.certificate.as_deref()
    }

    /// Replaces the faults, from the next call on.
    pub fn set_faults(&self, faults: Faults) {
        *self.front.faults.lock() = faults;
    }

    /// Returns how often it was called.
    pub fn calls(&self) -> Calls {
        self.front.counters.read()
    }

    /// Ends it: no new connections, and open requests have five seconds to finish.
    ///
    /// # Cancellation
    ///
    /// If the future is dropped, the emulator ends at once.
    pub async fn shutdown(mut self) {
        self.end.send_replace(true);
        if let Some(task) = &mut self.task {
            task.await.ok();
        }
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}

impl fmt::Debug for Emulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emulator").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Configures an [`Emulator`].
#[derive(Clone)]
pub struct EmulatorBuilder {
    address: SocketAddr,
    allow_remote: bool,
    tls: bool,
    token: Option<String>,
    state_file: Option<PathBuf>,
    faults: Faults,
    max_versions: usize,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

impl Default for EmulatorBuilder {
    fn default() -> Self {
        Self {
            address: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 5000),
            allow_remote: false,
            tls: false,
            token: None,
            state_file: None,
            faults: Faults::default(),
            max_versions: 10_000,
            clock: Arc::new(SystemClock::new()),
            random: Arc::new(SystemRandom::new()),
        }
    }
}

impl EmulatorBuilder {
    /// Sets the address to listen on; port 0 takes a free one. Default: `127.0.0.1:5000`.
    #[must_use]
    pub fn address(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// Allows addresses that other machines can reach. Whoever reaches it reads everything in it.
    #[must_use]
    pub fn allow_remote(mut self) -> Self {
        self.allow_remote = true;
        self
    }

    /// Speaks TLS, with a new self-signed certificate for `localhost`, `127.0.0.1`, `::1` and `*.vault.localhost`.
    #[must_use]
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// Lets in this bearer token only. Default: any.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Keeps the vault in a file of mode 0600, private keys as they are; it is written as a whole at every change, and
    /// locked against other emulators. Default: in memory.
    #[must_use]
    pub fn state_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.state_file = Some(path.into());
        self
    }

    /// Sets the faults to begin with. Default: none.
    #[must_use]
    pub fn faults(mut self, faults: Faults) -> Self {
        self.faults = faults;
        self
    }

    /// Sets how many versions of secrets and keys together it holds, deleted ones among them. Default: 10,000.
    #[must_use]
    pub fn max_versions(mut self, versions: usize) -> Self {
        self.max_versions = versions;
        self
    }

    /// Sets where time comes from. Default: the system.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Sets where ids of versions and nonces come from. Default: the system. RSA keys are always made by AWS-LC's own
    /// randomness.
    #[must_use]
    pub fn random(mut self, random: Arc<dyn Random>) -> Self {
        self.random = random;
        self
    }

    /// Starts the emulator on the current tokio runtime.
    ///
    /// Errors: [`Invalid`](ErrorKind::Invalid) for an address that others can reach, unless it is allowed, for an empty
    /// token, and for a state file that others may read or that the emulator did not write;
    /// [`Unavailable`](ErrorKind::Unavailable) if the port is taken or the file cannot be had.
    pub async fn start(self) -> Result<Emulator> {
        if !self.address.ip().is_loopback() && !self.allow_remote {
            return Err(Error::invalid(
                "emulator address",
                "a loopback address, or allow_remote set",
                self.address.ip(),
            ));
        }
        if self.token.as_ref().is_some_and(|token| token.trim().is_empty()) {
            return Err(Error::invalid("emulator token", "at least one character", "none"));
        }
        let (file, state) = self.load().await?;
        let (tls, certificate) = if self.tls { Some(tls::self_signed()?).unzip() } else { (None, None) };
        let listener = TcpListener::bind(self.address).await.map_err(|error| bind_failed(self.address, error))?;
        let address = listener.local_addr().map_err(|error| bind_failed(self.address, error))?;

        let vault = Vault {
            state: Mutex::new(state),
            file,
            clock: self.clock,
            random: self.random,
            max_versions: self.max_versions,
        };
        let front = Arc::new(Front {
            vault,
            token: self.token,
            faults: Mutex::new(self.faults),
            counters: Counters::default(),
            second: Mutex::default(),
        });
        let (end, ended) = watch::channel(false);
        let server = Server { front: Arc::clone(&front), tls, end: ended };
        let task = Some(tokio::spawn(server.run(listener)));
        Ok(Emulator { front, address, certificate, end, task })
    }

    async fn load(&self) -> Result<(Option<StateFile>, State)> {
        let (path, random) = (self.state_file.clone(), Arc::clone(&self.random));
        let work = move || {
            let file = path.map(|path| StateFile::lock(&path)).transpose()?;
            let read = file.as_ref().map(StateFile::read).transpose()?.flatten();
            Ok((file, read.map_or_else(|| State::new(&*random), Ok)?))
        };
        let done = tokio::task::spawn_blocking(work).await;
        done.unwrap_or_else(|error| {
            Err(Error::new(ErrorKind::Unavailable, "reading the state file was torn down").with_source(error))
        })
    }
}

impl fmt::Debug for EmulatorBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("EmulatorBuilder");
        out.field("address", &self.address).field("tls", &self.tls).field("faults", &self.faults);
        out.finish_non_exhaustive()
    }
}

fn bind_failed(address: SocketAddr, error: io::Error) -> Error {
    let message = match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "{address} is in use by another program: choose another port (on macOS, the AirPlay receiver has 5000)"
        ),
        _ => format!("{address} cannot be listened on"),
    };
    Error::new(ErrorKind::Unavailable, message).with_source(error)
}
