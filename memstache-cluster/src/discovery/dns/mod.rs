//! Names that stand for the nodes: address records, and SRV records.

mod builder;
mod resolve;

use std::{fmt, net::SocketAddr, sync::Arc};

use async_trait::async_trait;
use memstache_core::Result;

pub use self::builder::{DnsDiscoveryBuilder, IpFamily};
use self::resolve::{Query, Resolver};
use crate::membership::Discovery;

/// Asks DNS for the gossip addresses of nodes: `A` and `AAAA` records beside a port (RFC 1035, RFC 3596), and `SRV` records,
/// which name the port too (RFC 2782).
///
/// In Kubernetes that is the name of a headless service, with `publishNotReadyAddresses: true`, so that nodes find each
/// other before they are ready.
///
/// An answer is kept for as long as its records say, within bounds ([`min_ttl`](DnsDiscoveryBuilder::min_ttl),
/// [`max_ttl`](DnsDiscoveryBuilder::max_ttl)); that a name is not there is never kept. Priorities and weights of `SRV` records
/// mean nothing here: all are addresses at which to ask. What a datagram does not hold is asked for by TCP. Clones share what
/// they know.
///
/// ```no_run
/// use memstache_cluster::discovery::DnsDiscovery;
///
/// # fn main() -> memstache_core::Result<()> {
/// let discovery = DnsDiscovery::builder()
///     .addresses("cache.shop.svc.cluster.local.", 3322)
///     .service("_gossip._udp.cache.example.org.")
///     .build()?;
/// # let _ = discovery;
/// # Ok(()) // `Gossip::builder(..).discovery(discovery)`
/// # }
/// ```
///
/// # Errors
/// [`discover`](Discovery::discover): `Unavailable`, retryable, if no name could be asked for: the server does not answer, or
/// answers `SERVFAIL` or the like; its source is the resolver's error. A name that is not there, or has no such records, is no
/// error and stands for nobody. If some names can be asked for and others not, what was found is answered.
#[derive(Clone)]
pub struct DnsDiscovery {
    queries: Arc<[Query]>,
    resolver: Resolver,
}

impl DnsDiscovery {
    /// Begins to say what to ask for.
    pub fn builder() -> DnsDiscoveryBuilder {
        DnsDiscoveryBuilder::default()
    }
}

#[async_trait]
impl Discovery for DnsDiscovery {
    async fn discover(&self) -> Result<Vec<SocketAddr>> {
        self.resolver.all(&self.queries).await
    }
}

impl fmt::Debug for DnsDiscovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DnsDiscovery").field("names", &self.queries.len()).finish_non_exhaustive()
    }
}
