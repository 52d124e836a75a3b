//! A subject of NATS on which nodes tell of themselves and ask for the others.

mod builder;
mod connection;
mod listener;
mod message;
mod table;

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use async_nats::Client;
use async_trait::async_trait;
use futures_util::{StreamExt as _, stream};
use memstache_core::{Clock, Error, ErrorKind, Result};
use tokio::sync::Mutex;

pub use self::builder::NatsDiscoveryBuilder;
use self::{
    builder::Settings,
    connection::Connection,
    listener::State,
    message::{Kind, Message},
};
use crate::{
    member::Member,
    membership::{Discovery, SeedStream},
    peer::until::until,
};

/// How long silence after the first answers means that all have answered.
const QUIET: Duration = Duration::from_millis(200);

/// Finds nodes by a subject of NATS: each tells there of itself when it registers, every few seconds, and when it is asked.
///
/// It needs no JetStream, and nothing of the server but that it passes messages on; tested with 2.9 and 2.15. The first call
/// connects, and an error of that is the call's; later on the connection mends itself. While it is away, calls are errors
/// at once, and what was known is kept.
///
/// Whoever may publish on the subject can name addresses; a member becomes only who has the gossip secret.
///
/// Clones share the connection; the last one that is dropped ends it.
///
/// ```no_run
/// use memstache_cluster::discovery::NatsDiscovery;
///
/// # fn main() -> memstache_core::Result<()> {
/// let discovery = NatsDiscovery::builder("tls://nats.example.org:4222", "memstache.shop")
///     .user_and_password("shop", std::env::var("NATS_PASSWORD").unwrap_or_default())
///     .build()?;
/// # let _ = discovery;
/// # Ok(()) // `Gossip::builder(..).discovery(discovery)`
/// # }
/// ```
///
/// # Errors
/// All calls: `Unavailable`, retryable if the server cannot be reached or went away, and not if it refuses the credentials. The
/// source of the error is the client's.
#[derive(Clone)]
pub struct NatsDiscovery {
    settings: Arc<Settings>,
    state: Arc<State>,
    connection: Arc<Mutex<Option<Connection>>>,
    clock: Arc<dyn Clock>,
}

impl NatsDiscovery {
    /// Begins with a server, `nats://host:port` or `tls://host:port`, and the subject that the cluster's nodes share.
    pub fn builder(server: impl Into<String>, subject: impl Into<String>) -> NatsDiscoveryBuilder {
        NatsDiscoveryBuilder::new(server.into(), subject.into())
    }

    /// The client, connected now. Connects if nobody did yet, or if the connection ended for good.
    async fn client(&self) -> Result<Client> {
        let mut connection = self.connection.lock().await;
        if connection.as_ref().is_none_or(Connection::has_ended) {
            *connection = Some(Connection::open(&self.settings, &self.state, &self.clock).await?);
        }
        match &*connection {
            Some(connection) => connection.client(),
            None => Err(connection::away()),
        }
    }

    async fn publish(&self, client: &Client, kind: Kind, me: SocketAddr) -> Result<()> {
        let message = Message::about(kind, me).encode();
        client.publish(self.settings.subject.clone(), message).await.map_err(connection::lost)?;
        client.flush().await.map_err(connection::lost)
    }
}

#[async_trait]
impl Discovery for NatsDiscovery {
    async fn discover(&self) -> Result<Vec<SocketAddr>> {
        let client = self.client().await?;
        let inbox = client.new_inbox();
        let mut answers = client.subscribe(inbox.clone()).await.map_err(connection::lost)?;
        let request = Message::request().encode();
        let asked = client.publish_with_reply(self.settings.subject.clone(), inbox, request);
        asked.await.map_err(connection::lost)?;
        client.flush().await.map_err(connection::lost)?;
        let end = self.clock.now().after(self.settings.timeout);
        let mut next = end;
        while let Some(Some(answer)) = until(&self.clock, Some(next), answers.next()).await {
            let now = self.clock.now();
            if let Some(at) = Message::decode(&answer.payload).and_then(|message| message.present()) {
                self.state.heard_of(at, now);
            }
            next = now.after(QUIET).min(end);
        }
        Ok(self.state.known(self.clock.now()))
    }

    fn watch(&self) -> Option<SeedStream> {
        let changes = self.state.subscribe();
        let stream = stream::unfold(changes, |mut changes| async {
            changes.changed().await.ok()?;
            let known = changes.borrow_and_update().clone();
            Some((known, changes))
        });
        Some(SeedStream::new(stream))
    }

    async fn register(&self, me: &Member) -> Result<()> {
        let client = self.client().await?;
        self.state.register(Some(me.gossip));
        self.publish(&client, Kind::Here, me.gossip).await
    }

    async fn deregister(&self, me: &Member) -> Result<()> {
        self.state.register(None);
        // Nobody can be told by a connection that is not there; they find out.
        let Some(client) = self.connection.lock().await.as_ref().and_then(|connection| connection.client().ok()) else {
            return Err(Error::new(ErrorKind::Unavailable, "the server of NATS cannot be told that this node leaves"));
        };
        self.publish(&client, Kind::Gone, me.gossip).await
    }
}

impl fmt::Debug for NatsDiscovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsDiscovery").field("settings", &self.settings).finish_non_exhaustive()
    }
}
