//! What to ask for, and whom.

use std::{net::SocketAddr, time::Duration};

use hickory_resolver::{
    config::{ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts},
    net::runtime::TokioRuntimeProvider,
    proto::rr::Name,
    system_conf::read_system_conf,
};
use memstache_core::{Error, ErrorKind, Result};

use super::{
    DnsDiscovery,
    resolve::{Query, Resolver},
};
use crate::problems::Problems;

/// The most names, and the most servers.
const MOST: usize = 16;
/// The longest name, in bytes (RFC 1035).
const MAX_NAME: usize = 255;
/// Answers that are kept: one for each name and kind of record, and the targets of services.
const CACHE: u64 = 1024;

/// Which addresses are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum IpFamily {
    /// Those of IPv4 and those of IPv6.
    #[default]
    Both,
    /// Those of IPv4 alone.
    V4,
    /// Those of IPv6 alone.
    V6,
}

/// Gathers what [`DnsDiscovery`] needs.
///
/// Nothing is checked before [`build`](Self::build); its error names everything that is wrong.
#[derive(Clone, Debug)]
#[must_use = "nothing is asked before `build`"]
pub struct DnsDiscoveryBuilder {
    names: Vec<(String, Option<u16>)>,
    family: IpFamily,
    servers: Vec<SocketAddr>,
    timeout: Duration,
    attempts: usize,
    min_ttl: Duration,
    max_ttl: Duration,
}

impl Default for DnsDiscoveryBuilder {
    fn default() -> Self {
        Self {
            names: Vec::new(),
            family: IpFamily::Both,
            servers: Vec::new(),
            timeout: Duration::from_secs(1),
            attempts: 2,
            min_ttl: Duration::from_secs(1),
            max_ttl: Duration::from_secs(60),
        }
    }
}

impl DnsDiscoveryBuilder {
    /// Asks for the addresses of a name; all nodes gossip at this port. With a dot at its end, a name is looked up as it is, and not
    /// in the system's search domains.
    pub fn addresses(mut self, name: impl Into<String>, port: u16) -> Self {
        self.names.push((name.into(), Some(port)));
        self
    }

    /// Asks for the `SRV` records of a name, and for the addresses of the hosts that they name.
    pub fn service(mut self, name: impl Into<String>) -> Self {
        self.names.push((name.into(), None));
        self
    }

    /// Sets which addresses are wanted. Default: both.
    pub fn family(mut self, family: IpFamily) -> Self {
        self.family = family;
        self
    }

    /// Asks this server, by UDP and TCP, instead of those of the system; may be called again, at most 16 times. Then there are no
    /// search domains, and no file of hosts is read.
    pub fn server(mut self, at: SocketAddr) -> Self {
        self.servers.push(at);
        self
    }

    /// Sets how long one attempt may take: above zero, at most 5 s, after which discovery gives up anyway. Default: 1 s.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// Sets how often a question is asked again that was not answered: at most 5. Default: 2.
    pub fn attempts(mut self, attempts: usize) -> Self {
        self.attempts = attempts;
        self
    }

    /// Sets for how long an answer is kept at least, whatever its records say. At most 1 minute. Default: 1 s.
    pub fn min_ttl(mut self, ttl: Duration) -> Self {
        self.min_ttl = ttl;
        self
    }

    /// Sets for how long an answer is kept at most, whatever its records say. At least `min_ttl`, at most 1 hour. Default: 60 s.
    pub fn max_ttl(mut self, ttl: Duration) -> Self {
        self.max_ttl = ttl;
        self
    }

    /// Builds the provider; reads the system's settings, unless servers were named.
    ///
    /// Errors: `Invalid`, which names everything that is wrong; `Io` if the system's settings cannot be read.
    pub fn build(self) -> Result<DnsDiscovery> {
        let mut problems = Problems::default();
        problems.within("names", self.names.len(), 1, MOST);
        problems.within("servers", self.servers.len(), 0, MOST);
        problems.within("attempts", self.attempts, 0, 5);
        problems.positive("timeout", self.timeout);
        for (field, given, least, most) in [
            ("timeout", self.timeout, Duration::ZERO, Duration::from_secs(5)),
            ("min_ttl", self.min_ttl, Duration::ZERO, Duration::from_secs(60)),
            ("max_ttl", self.max_ttl, self.min_ttl, Duration::from_secs(3600)),
        ] {
            let wrong = || Error::invalid(field, format_args!("{least:?} to {most:?}"), format_args!("{given:?}"));
            problems.require((least..=most).contains(&given), wrong);
        }
        for server in &self.servers {
            let wrong = || Error::invalid("server", "an address that can be reached", server);
            problems.require(server.port() != 0 && !server.ip().is_unspecified(), wrong);
        }
        let queries: Vec<_> = self.names.iter().filter_map(|name| problems.note(query(name))).collect();
        problems.finish()?;
        Ok(DnsDiscovery { queries: queries.into(), resolver: self.resolver()? })
    }

    fn resolver(&self) -> Result<Resolver> {
        let (config, mut options) = if self.servers.is_empty() {
            let unknown =
                |error| Error::new(ErrorKind::Io, "the system's name servers are not known").with_source(error);
            read_system_conf().map_err(unknown)?
        } else {
            let servers = self.servers.iter().map(|at| name_server(*at)).collect();
            let mut options = ResolverOpts::default();
            options.use_hosts_file = ResolveHosts::Never;
            (ResolverConfig::from_name_servers(servers), options)
        };
        options.timeout = self.timeout;
        options.attempts = self.attempts;
        options.cache_size = CACHE;
        options.positive_min_ttl = Some(self.min_ttl);
        options.positive_max_ttl = Some(self.max_ttl);
        options.negative_max_ttl = Some(Duration::ZERO);
        options.ip_strategy = match self.family {
            IpFamily::Both => LookupIpStrategy::Ipv4AndIpv6,
            IpFamily::V4 => LookupIpStrategy::Ipv4Only,
            IpFamily::V6 => LookupIpStrategy::Ipv6Only,
        };
        options.try_tcp_on_error = true;
        let builder = hickory_resolver::Resolver::builder_with_config(config, TokioRuntimeProvider::default())
            .with_options(options);
        let unusable = |error| Error::new(ErrorKind::Unavailable, "the resolver could not be made").with_source(error);
        builder.build().map(Resolver::new).map_err(unusable)
    }
}

fn query((name, port): &(String, Option<u16>)) -> Result<Query> {
    let limit = format_args!("the name of a host or service, at most {MAX_NAME} bytes long");
    let wrong = || Error::invalid("name", limit, format_args!("one of {} bytes that is none", name.len()));
    let sound = !name.is_empty() && name.len() <= MAX_NAME && name != ".";
    let parsed = Name::from_utf8(name).ok().filter(|_| sound).ok_or_else(wrong)?;
    match port {
        Some(0) => Err(Error::invalid("port", "1 to 65535", 0)),
        Some(port) => Ok(Query::Addresses(name.clone(), *port)),
        None => Ok(Query::Service(parsed)),
    }
}

fn name_server(at: SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = at.port();
        connection
    });
    NameServerConfig::new(at.ip(), true, connections.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_that_is_wrong_is_said_at_once() {
        let long = "a".repeat(300);
        let error = DnsDiscovery::builder()
            .addresses(long, 1)
            .addresses("", 1)
            .addresses("a b..c", 1)
            .addresses("cache", 0)
            .service(".")
            .server(([0, 0, 0, 0], 53).into())
            .timeout(Duration::ZERO)
            .attempts(6)
            .min_ttl(Duration::from_secs(61))
            .max_ttl(Duration::from_secs(60))
            .build()
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let error = error.to_string();
        for part in [
            "attempts must be 0 to 5, but 6 was given",
            "timeout must be above zero, but zero was given",
            "min_ttl must be 0ns to 60s, but 61s was given",
            "max_ttl must be 61s to 3600s, but 60s was given",
            "server must be an address that can be reached, but 0.0.0.0:53 was given",
            "name must be the name of a host or service, at most 255 bytes long, but one of 300 bytes that is none was given",
            "one of 0 bytes that is none",
            "one of 6 bytes that is none",
            "port must be 1 to 65535, but 0 was given",
            "one of 1 bytes that is none",
        ] {
            assert!(error.contains(part), "{part} is not in {error}");
        }
        let none = DnsDiscovery::builder().build().unwrap_err().to_string();
        assert_eq!(none, "names must be 1 to 16, but 0 was given");
        let many =
            (0..17).fold(DnsDiscovery::builder().service("a"), |builder, _| builder.server(([10, 0, 0, 1], 53).into()));
        assert_eq!(many.build().unwrap_err().to_string(), "servers must be 0 to 16, but 17 was given");
    }

    #[tokio::test]
    async fn the_system_is_asked_unless_servers_are_named() {
        let discovery = DnsDiscovery::builder().addresses("cache.test.", 3322).build().unwrap();
        assert_eq!(format!("{discovery:?}"), "DnsDiscovery { names: 1, .. }");
        let given = DnsDiscovery::builder().addresses("cache.test.", 3322).server(([10, 0, 0, 1], 53).into());
        given.build().unwrap();
    }
}
