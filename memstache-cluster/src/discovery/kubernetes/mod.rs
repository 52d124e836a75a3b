//! The API of Kubernetes: pods by their labels, or the endpoint slices of a service.

mod builder;
mod client;
mod pauses;
mod peers;
mod table;

use std::{fmt, net::SocketAddr, sync::Arc};

use async_trait::async_trait;
use futures_util::{StreamExt as _, future::ready, stream, stream::BoxStream};
use k8s_openapi::{NamespaceResourceScope, api::core::v1::Pod, api::discovery::v1::EndpointSlice};
use kube::{
    Api, Client, Resource,
    api::ListParams,
    runtime::{WatchStreamExt as _, watcher},
};
use memstache_core::Result;
use serde::de::DeserializeOwned;

pub use self::builder::KubernetesDiscoveryBuilder;
use self::{
    builder::{Settings, Source},
    client::{Clients, failed, is_unauthorized},
    pauses::Pauses,
    peers::{Peers, Port},
    table::{MAX, Table},
};
use crate::membership::{Discovery, SeedStream};

/// How many objects are listed at a time.
const PAGE: u32 = 500;
/// After how many seconds a watch is begun anew, by the server. One that is silent for longer is given up: bookmarks come once a
/// minute.
const WATCH: u32 = 60;

/// Finds nodes by the API of Kubernetes: pods by their labels ([`pods`](Self::pods)), or the endpoint slices of a service
/// ([`service`](Self::service)).
///
/// It lists them when it is asked, and watches them between: changes come within a moment. Pods that are not ready are
/// named too, or nodes whose readiness waits for each other would never find each other; pods that end, or have ended, are not.
///
/// It needs `list` and `watch` of `pods`, or of `endpointslices` of `discovery.k8s.io`, in its namespace: see `deploy/` beside this
/// crate. Within a pod it takes the pod's service account, whose token may change; elsewhere, or if asked, a kubeconfig. A watch that
/// breaks off is resumed; what was known is kept meanwhile. Clones share the client.
///
/// A program that uses it chooses the version of Kubernetes that it is made for, by a dependency of its own:
/// `k8s-openapi = { version = "0.29", features = ["v1_33"] }`.
///
/// ```no_run
/// use memstache_cluster::discovery::KubernetesDiscovery;
///
/// # fn main() -> memstache_core::Result<()> {
/// let discovery = KubernetesDiscovery::pods("app.kubernetes.io/name=cache").port_name("gossip").build()?;
/// # let _ = discovery;
/// # Ok(()) // `Gossip::builder(..).discovery(discovery)`
/// # }
/// ```
///
/// # Errors
/// [`discover`](Discovery::discover): `Unavailable`, retryable unless the API server forbids it (403): `deploy/` has the roles
/// that it needs. `Invalid` if the kubeconfig cannot be used. The source of the error is the client's.
#[derive(Clone)]
pub struct KubernetesDiscovery {
    settings: Arc<Settings>,
    clients: Clients,
}

impl KubernetesDiscovery {
    /// Begins with pods by their labels, in the form of label selectors: `app=cache,tier in (a,b)`.
    pub fn pods(labels: impl Into<String>) -> KubernetesDiscoveryBuilder {
        KubernetesDiscoveryBuilder::new(Source::Pods(labels.into()))
    }

    /// Begins with the endpoint slices of a service, by its name.
    pub fn service(name: impl Into<String>) -> KubernetesDiscoveryBuilder {
        KubernetesDiscoveryBuilder::new(Source::Service(name.into()))
    }

    async fn list(&self) -> Result<Vec<SocketAddr>> {
        let client = self.clients.get().await?;
        let listed = match self.settings.source {
            Source::Pods(_) => self.list_of::<Pod>(client).await,
            Source::Service(_) => self.list_of::<EndpointSlice>(client).await,
        };
        listed.map_err(failed)
    }

    async fn list_of<K: Peers + Listed>(&self, client: Client) -> kube::Result<Vec<SocketAddr>> {
        let api: Api<K> = self.api(client);
        let mut params = ListParams::default().labels(&self.settings.selector()).limit(PAGE);
        let mut found = Vec::new();
        loop {
            let page = api.list(&params).await?;
            found.extend(page.items.iter().flat_map(|it| it.peers(&self.settings.port)));
            let next = page.metadata.continue_.filter(|token| !token.is_empty());
            if next.is_none() || found.len() >= MAX {
                found.truncate(MAX);
                return Ok(found);
            }
            params.continue_token = next;
        }
    }

    /// All addresses, whenever they change; ends when the client is of no more use.
    async fn follow(self) -> BoxStream<'static, Vec<SocketAddr>> {
        let Ok(client) = self.clients.get().await else { return stream::empty().boxed() };
        match self.settings.source {
            Source::Pods(_) => self.changes_of::<Pod>(client),
            Source::Service(_) => self.changes_of::<EndpointSlice>(client),
        }
    }

    fn changes_of<K: Peers + Listed>(self, client: Client) -> BoxStream<'static, Vec<SocketAddr>> {
        let config = watcher::Config::default().labels(&self.settings.selector()).timeout(WATCH).page_size(PAGE);
        let settings = self.settings.clone();
        let clients = self.clients.clone();
        watcher(self.api::<K>(client), config)
            .backoff(Pauses::between_failures())
            .take_while(move |event| {
                let refused = event.as_ref().is_err_and(is_unauthorized);
                if refused {
                    clients.forget();
                }
                ready(!refused)
            })
            .scan(Table::default(), move |table, event| {
                // An error keeps what is known: the watcher goes on.
                ready(Some(event.ok().and_then(|event| table.take(event, &settings.port))))
            })
            .filter_map(ready)
            .boxed()
    }

    fn api<K: Listed>(&self, client: Client) -> Api<K> {
        match &self.settings.namespace {
            Some(namespace) => Api::namespaced(client, namespace),
            None => Api::default_namespaced(client),
        }
    }
}

/// What the API lists.
trait Listed:
    Resource<Scope = NamespaceResourceScope, DynamicType = ()>
    + Clone
    + fmt::Debug
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
}

impl Listed for Pod {}
impl Listed for EndpointSlice {}

#[async_trait]
impl Discovery for KubernetesDiscovery {
    async fn discover(&self) -> Result<Vec<SocketAddr>> {
        let listed = self.list().await;
        let refused = listed.as_ref().is_err_and(|error| error.find_source().is_some_and(client::says_unauthorized));
        if !refused {
            return listed;
        }
        // The token was changed, and the client still shows the old one.
        self.clients.forget();
        self.list().await
    }

    fn watch(&self) -> Option<SeedStream> {
        Some(SeedStream::new(stream::once(self.clone().follow()).flatten()))
    }
}

impl fmt::Debug for KubernetesDiscovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KubernetesDiscovery").field("settings", &self.settings).finish_non_exhaustive()
    }
}
