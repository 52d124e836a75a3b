//! Where to ask who is there: providers for the places in which people run clusters, each behind its feature.
//!
//! Each is a [`Discovery`](crate::membership::Discovery), to be given to
//! [`GossipBuilder::discovery`](crate::membership::GossipBuilder::discovery). They only say where to ask: who is a member
//! is told by gossip, so that a provider that is away, or wrong, harms nobody who knows the others already.

#[cfg(feature = "discovery-dns")]
mod dns;
#[cfg(feature = "discovery-kubernetes")]
mod kubernetes;
#[cfg(feature = "discovery-nats")]
mod nats;

#[cfg(feature = "discovery-dns")]
pub use self::dns::{DnsDiscovery, DnsDiscoveryBuilder, IpFamily};
#[cfg(feature = "discovery-kubernetes")]
pub use self::kubernetes::{KubernetesDiscovery, KubernetesDiscoveryBuilder};
#[cfg(feature = "discovery-nats")]
pub use self::nats::{NatsDiscovery, NatsDiscoveryBuilder};
