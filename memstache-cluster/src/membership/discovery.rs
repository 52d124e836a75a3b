//! Where to ask who is there.

use std::{
    fmt,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};

use async_trait::async_trait;
use futures_util::Stream;
use memstache_core::Result;

use crate::member::Member;

/// Says at which addresses members may be asked who is there.
///
/// It need not know all, nor only members that live: it is asked when a node starts, every 15 seconds, and as soon as a node
/// is alone. Nobody becomes a member by being named here.
#[async_trait]
pub trait Discovery: fmt::Debug + Send + Sync + 'static {
    /// Returns the gossip addresses that are known now; this node's own may be among them.
    ///
    /// Errors: whatever keeps it from knowing. The addresses known before are kept then.
    async fn discover(&self) -> Result<Vec<SocketAddr>>;

    /// Returns a stream of all addresses, each time they change, if there is such a thing. Default: none.
    fn watch(&self) -> Option<SeedStream> {
        None
    }

    /// Makes this node known, before it joins. Default: nothing to do.
    async fn register(&self, me: &Member) -> Result<()> {
        let _ = me;
        Ok(())
    }

    /// Makes this node unknown, after it has left. Default: nothing to do.
    async fn deregister(&self, me: &Member) -> Result<()> {
        let _ = me;
        Ok(())
    }
}

/// A stream of the addresses that a [`Discovery`] knows.
pub struct SeedStream(Pin<Box<dyn Stream<Item = Vec<SocketAddr>> + Send>>);

impl SeedStream {
    /// Wraps a stream.
    pub fn new(stream: impl Stream<Item = Vec<SocketAddr>> + Send + 'static) -> Self {
        Self(Box::pin(stream))
    }
}

impl Stream for SeedStream {
    type Item = Vec<SocketAddr>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(context)
    }
}

impl fmt::Debug for SeedStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SeedStream").finish_non_exhaustive()
    }
}

/// Addresses that are known beforehand.
///
/// ```
/// use memstache_cluster::membership::{Discovery, StaticDiscovery};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> memstache_core::Result<()> {
/// let seeds = StaticDiscovery::new(["10.0.0.1:3322".parse().unwrap(), "10.0.0.2:3322".parse().unwrap()]);
/// assert_eq!(seeds.discover().await?.len(), 2);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct StaticDiscovery(Vec<SocketAddr>);

impl StaticDiscovery {
    /// Takes addresses, the same on every node if you like. With none, a node waits to be found by others.
    pub fn new(seeds: impl IntoIterator<Item = SocketAddr>) -> Self {
        Self(seeds.into_iter().collect())
    }
}

#[async_trait]
impl Discovery for StaticDiscovery {
    async fn discover(&self) -> Result<Vec<SocketAddr>> {
        Ok(self.0.clone())
    }
}
