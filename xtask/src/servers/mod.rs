//! Redis and its kin for tests and people: single servers, sentinels, clusters, with TLS and without; and what nodes of a cluster
//! find each other by: NATS, a name server, a stub of the API server of Kubernetes.
//!
//! Every server listens on loopback alone, at a port that was free, keeps its files under the target folder, and is ended by
//! its process id once it is certain that the process is ours.

mod certificates;
mod config;
mod discovery;
mod folders;
mod keeper;
mod launch;
pub(crate) mod pids;
mod ports;
pub(crate) mod ready;
pub(crate) mod resp;
mod session;
pub(crate) mod state;
mod topology;
mod verbs;
mod version;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

pub(crate) use self::{
    config::SENTINEL_NAME,
    keeper::{KeepArgs, keep},
    session::{One, Session},
    verbs::{DownArgs, UpArgs, down, up},
    version::{Version, system},
};

/// What can be brought up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Service {
    /// One server
    Redis,
    /// One server with TLS, which refuses clients without a certificate
    RedisTls,
    /// A primary, two replicas and three sentinels
    Sentinel,
    /// Three primaries with a replica each
    Cluster,
    /// As cluster, with TLS; clients may do without a certificate
    ClusterTls,
    /// One server of NATS
    Nats,
    /// A name server with a zone that takes updates, memstache.test, and one that always fails, broken.test
    Dns,
    /// A stub of the API server of Kubernetes
    KubeStub,
}

impl Service {
    /// Those of Redis and its kin.
    pub(crate) const REDIS: [Self; 5] = [Self::Redis, Self::RedisTls, Self::Sentinel, Self::Cluster, Self::ClusterTls];
    /// Those by which nodes find each other.
    pub(crate) const DISCOVERY: [Self; 3] = [Self::Nats, Self::Dns, Self::KubeStub];

    /// Every one of them.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        Self::REDIS.into_iter().chain(Self::DISCOVERY)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Redis => "redis",
            Self::RedisTls => "redis-tls",
            Self::Sentinel => "sentinel",
            Self::Cluster => "cluster",
            Self::ClusterTls => "cluster-tls",
            Self::Nats => "nats",
            Self::Dns => "dns",
            Self::KubeStub => "kube-stub",
        }
    }

    /// The environment variable by which tests find it.
    pub(crate) fn variable(self) -> &'static str {
        match self {
            Self::Redis => "MEMSTACHE_REDIS_URL",
            Self::RedisTls => "MEMSTACHE_REDIS_TLS_URL",
            Self::Sentinel => "MEMSTACHE_SENTINEL_URL",
            Self::Cluster => "MEMSTACHE_REDIS_CLUSTER_URL",
            Self::ClusterTls => "MEMSTACHE_REDIS_CLUSTER_TLS_URL",
            Self::Nats => "MEMSTACHE_NATS_URL",
            Self::Dns => "MEMSTACHE_DNS_SERVER",
            Self::KubeStub => "MEMSTACHE_KUBE_URL",
        }
    }

    pub(crate) fn has_tls(self) -> bool {
        matches!(self, Self::RedisTls | Self::ClusterTls)
    }

    /// Whether it speaks Redis's protocol.
    pub(crate) fn is_redis(self) -> bool {
        Self::REDIS.contains(&self)
    }

    pub(crate) fn is_cluster(self) -> bool {
        matches!(self, Self::Cluster | Self::ClusterTls)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_what_is_typed() {
        for service in Service::all() {
            assert_eq!(Service::from_str(service.name(), false), Ok(service));
            assert_eq!(serde_json::to_string(&service).unwrap(), format!("{:?}", service.name()));
        }
        assert_eq!(Service::value_variants().len(), Service::all().count());
    }

    #[test]
    fn every_service_has_a_variable_of_its_own() {
        assert_eq!(Service::all().map(Service::variable).collect::<BTreeSet<_>>().len(), Service::all().count());
    }
}
