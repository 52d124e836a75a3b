//! A connection with the server, and the task that listens on it.

use std::{fs, path::Path, sync::Arc};

use async_nats::{Client, ConnectErrorKind, ConnectOptions, connection::State as Link};
use memstache_core::{BoxError, Clock, Error, ErrorKind, Result};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tokio::task::{AbortHandle, spawn_blocking};

use super::{
    builder::{Login, Settings},
    listener::{State, listen},
};

/// The most bytes of a file of PEM.
const MAX_PEM: u64 = 1 << 20;
/// How many messages may wait to be sent or to be read: who is slower loses some, and hears them again.
const WAITING: usize = 1024;

#[derive(Debug)]
pub(super) struct Connection {
    client: Client,
    listener: AbortHandle,
}

impl Connection {
    pub(super) async fn open(settings: &Settings, state: &Arc<State>, clock: &Arc<dyn Clock>) -> Result<Self> {
        let connecting = options(settings).await?.connect(settings.servers.clone());
        let client = connecting.await.map_err(|error| {
            let refused =
                matches!(error.kind(), ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation);
            let what =
                if refused { "the server of NATS refuses the credentials" } else { "no server of NATS can be reached" };
            Error::new(ErrorKind::Unavailable, what).with_source(error).with_retryable(!refused)
        })?;
        let heard = client.subscribe(settings.subject.clone()).await.map_err(lost)?;
        // So that whoever asks from now on is heard.
        client.flush().await.map_err(lost)?;
        let listening = listen(client.clone(), heard, Arc::clone(state), settings.subject.clone(), Arc::clone(clock));
        Ok(Self { client, listener: tokio::spawn(listening).abort_handle() })
    }

    /// Whether it will not mend itself.
    pub(super) fn has_ended(&self) -> bool {
        self.listener.is_finished()
    }

    /// The client, if it is connected now: calls would wait for a server that is away.
    pub(super) fn client(&self) -> Result<Client> {
        match self.client.connection_state() {
            Link::Connected => Ok(self.client.clone()),
            Link::Pending | Link::Disconnected => Err(away()),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

pub(super) fn away() -> Error {
    Error::new(ErrorKind::Unavailable, "the server of NATS is away")
}

pub(super) fn lost(error: impl Into<BoxError>) -> Error {
    Error::new(ErrorKind::Unavailable, "the connection with the server of NATS was lost").with_source(error)
}

async fn options(settings: &Settings) -> Result<ConnectOptions> {
    let options = ConnectOptions::new()
        .connection_timeout(settings.timeout)
        .client_capacity(WAITING)
        .subscription_capacity(WAITING)
        // A server that hangs is noticed within two of these.
        .ping_interval(settings.heartbeat)
        .reconnect_delay_callback(|attempt| std::time::Duration::from_millis(100 << attempt.min(5)))
        .require_tls(settings.require_tls);
    let options = match settings.login.clone() {
        Some(Login::User(user, password)) => options.user_and_password(user, password),
        Some(Login::Token(token)) => options.token(token),
        None => options,
    };
    // Always: a server may ask for TLS whatever its address says, and the process may have several providers of it.
    Ok(options.tls_client_config(tls(settings).await?))
}

async fn tls(settings: &Settings) -> Result<ClientConfig> {
    let (ca, identity) = (settings.ca.clone(), settings.identity.clone());
    let read = spawn_blocking(move || {
        let identity =
            identity.map(|(certificate, key)| Ok::<_, Error>((certificates(&certificate)?, private_key(&key)?)));
        client_config(&roots(ca.as_deref())?, identity.transpose()?)
    });
    read.await.map_err(|error| Error::new(ErrorKind::Unavailable, "certificates cannot be read").with_source(error))?
}

fn client_config(
    roots: &RootCertStore,
    identity: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
) -> Result<ClientConfig> {
    let wrong = |error: rustls::Error| Error::new(ErrorKind::Invalid, "TLS cannot be set up").with_source(error);
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(wrong)?.with_root_certificates(roots.clone());
    match identity {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).map_err(wrong),
        None => Ok(builder.with_no_client_auth()),
    }
}

fn roots(ca: Option<&Path>) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let given = match ca {
        Some(ca) => certificates(ca)?,
        None => rustls_native_certs::load_native_certs().certs,
    };
    let (added, _) = roots.add_parsable_certificates(given);
    if ca.is_some() && added == 0 {
        return Err(Error::invalid("ca", "a file with certificates", "one without"));
    }
    Ok(roots)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let pem = read("certificates", file)?;
    let read: std::result::Result<_, _> = CertificateDer::pem_slice_iter(&pem).collect();
    read.map_err(|_| Error::invalid("certificates", "PEM", "something else"))
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>> {
    let pem = read("key", file)?;
    // Nothing of it is told.
    PrivateKeyDer::from_pem_slice(&pem).map_err(|_| Error::invalid("key", "a private key in PEM", "something else"))
}

fn read(field: &str, file: &Path) -> Result<Vec<u8>> {
    let failed = |error: std::io::Error| {
        Error::new(ErrorKind::Io, format!("the file of {field} cannot be read: {}", error.kind())).with_source(error)
    };
    let len = fs::metadata(file).map_err(failed)?.len();
    if len > MAX_PEM {
        return Err(Error::invalid(field, format_args!("at most {MAX_PEM} bytes"), len));
    }
    fs::read(file).map_err(failed)
}
