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
/// It need not know all, nor only members that live: it is asked when a node starts, about every 15 seconds, and every 2
/// while a node is alone. Nobody becomes a member by being named here, and nobody ceases to be one by being named no more:
/// an answer that is empty, partial or an error takes nothing away. An address that is named no more while others are is
/// forgotten after ten minutes.
///
/// # A provider of your own
/// Twenty lines; this one reads a file of addresses, one a line, which something else keeps up to date:
///
/// ```
/// use std::{net::SocketAddr, path::PathBuf};
/// use async_trait::async_trait;
/// use memstache_cluster::membership::Discovery;
/// use memstache_core::{Error, ErrorKind, Result};
///
/// #[derive(Debug)]
/// struct FileDiscovery(PathBuf);
///
/// #[async_trait]
/// impl Discovery for FileDiscovery {
///     async fn discover(&self) -> Result<Vec<SocketAddr>> {
///         // An error says that nothing is known: what was named before is kept, and this is asked again.
///         let unreadable = |error| Error::new(ErrorKind::Io, "the list of seeds cannot be read").with_source(error);
///         let text = tokio::fs::read_to_string(&self.0).await.map_err(unreadable)?;
///         // Lines that are no addresses are nobody's.
///         Ok(text.lines().filter_map(|line| line.trim().parse().ok()).collect())
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = std::env::temp_dir().join(format!("memstache-seeds-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// let file = folder.join("seeds");
/// let seeds = FileDiscovery(file.clone()); // `Gossip::builder(..).discovery(seeds)`
/// assert!(seeds.discover().await.is_err());
/// std::fs::write(&file, "10.0.0.1:3322\n[fd00::2]:3322\n# nobody\n")?;
/// assert_eq!(seeds.discover().await?, ["10.0.0.1:3322".parse()?, "[fd00::2]:3322".parse()?]);
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok(())
/// # }
/// ```
#[async_trait]
pub trait Discovery: fmt::Debug + Send + Sync + 'static {
    /// Returns the gossip addresses that are known now; this node's own may be among them.
    ///
    /// Errors: whatever keeps it from knowing. The addresses known before are kept then.
    ///
    /// # Cancellation
    /// Dropped if it takes longer than 5 seconds; it is asked again.
    async fn discover(&self) -> Result<Vec<SocketAddr>>;

    /// Returns a stream of all addresses, each time they change, if there is such a thing. Default: none.
    ///
    /// One that ends is asked for anew when discovery is asked next.
    fn watch(&self) -> Option<SeedStream> {
        None
    }

    /// Makes this node known, before it joins; may be called again. Default: nothing to do.
    ///
    /// Errors: whatever keeps it from doing so. It is tried again each time that discovery is asked.
    ///
    /// # Cancellation
    /// Dropped if it takes longer than 5 seconds.
    async fn register(&self, me: &Member) -> Result<()> {
        let _ = me;
        Ok(())
    }

    /// Makes this node unknown, after it has left, if it was ever to be made known. Default: nothing to do.
    ///
    /// # Cancellation
    /// Dropped if it takes longer than 2 seconds.
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
