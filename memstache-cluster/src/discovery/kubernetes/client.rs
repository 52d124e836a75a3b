//! The client, and what it says when it fails.

use std::{path::PathBuf, sync::Arc, time::Duration};

use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
    core::Status,
    runtime::watcher,
};
use memstache_core::{BoxError, Error, ErrorKind, Result};
use parking_lot::Mutex;
use rustls::crypto::{CryptoProvider, ring};

/// How long it may take to connect.
const CONNECT: Duration = Duration::from_secs(2);

/// Makes a client when one is needed.
#[derive(Clone)]
pub(super) struct Clients {
    kubeconfig: Option<PathBuf>,
    context: Option<String>,
    current: Arc<Mutex<Option<Client>>>,
}

impl Clients {
    pub(super) fn new(kubeconfig: Option<PathBuf>, context: Option<String>) -> Self {
        Self { kubeconfig, context, current: Arc::default() }
    }

    /// The client; two that ask at once may make two, of which one stays.
    pub(super) async fn get(&self) -> Result<Client> {
        if let Some(client) = &*self.current.lock() {
            return Ok(client.clone());
        }
        let client = self.make().await?;
        *self.current.lock() = Some(client.clone());
        Ok(client)
    }

    /// Lets the next call read tokens and certificates anew.
    pub(super) fn forget(&self) {
        *self.current.lock() = None;
    }

    async fn make(&self) -> Result<Client> {
        let invalid = |error: BoxError| {
            Error::new(ErrorKind::Invalid, "the access to Kubernetes is not set up").with_source(error)
        };
        let mut config = match &self.kubeconfig {
            Some(file) => {
                let kubeconfig = Kubeconfig::read_from(file).map_err(|error| invalid(error.into()))?;
                let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
                Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|error| invalid(error.into()))?
            }
            None => Config::infer().await.map_err(|error| invalid(error.into()))?,
        };
        config.connect_timeout = Some(CONNECT);
        // We are asked again soon enough.
        config.default_retry = false;
        // The client takes the process's, and panics if there is none and several could be it.
        if CryptoProvider::get_default().is_none() {
            // An error means that somebody else was faster.
            let _ = ring::default_provider().install_default();
        }
        Client::try_from(config).map_err(|error| invalid(error.into()))
    }
}

/// The error of a call.
pub(super) fn failed(error: kube::Error) -> Error {
    let forbidden = matches!(&error, kube::Error::Api(status) if status.is_forbidden());
    let what = if forbidden {
        "the API server of Kubernetes forbids to list"
    } else {
        "the API server of Kubernetes did not answer, or with an error"
    };
    Error::new(ErrorKind::Unavailable, what).with_source(error).with_retryable(!forbidden)
}

/// Whether the API server does not know who asks.
pub(super) fn says_unauthorized(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if is_401(status))
}

/// The same, of a watch.
pub(super) fn is_unauthorized(error: &watcher::Error) -> bool {
    use watcher::Error as E;
    match error {
        E::InitialListFailed(error) | E::WatchStartFailed(error) | E::WatchFailed(error) => says_unauthorized(error),
        E::WatchError(status) => is_401(status),
        E::NoResourceVersion => false,
    }
}

fn is_401(status: &Status) -> bool {
    status.code == 401
}
