//! What the driver is told of the settings.

use std::time::Duration;

use fred::{
    clients::Client as Driver,
    types::{
        RespVersion,
        config::{
            ClusterDiscoveryPolicy, Config, ConnectionConfig, PerformanceConfig, ReconnectPolicy, Server, ServerConfig,
            TcpConfig,
        },
    },
};
use memstache_core::Result;

use super::{
    RedisBuilder,
    url::{Kind, Place},
};

/// How long a server may take to answer what the driver asks of it by itself.
const GREETING: Duration = Duration::from_millis(500);

impl RedisBuilder {
    pub(super) fn config(&self, place: &Place) -> Result<Config> {
        let hosts: Vec<_> = place.hosts.iter().map(|(host, port)| Server::new(host.as_str(), *port)).collect();
        let server = match &place.kind {
            Kind::Single => ServerConfig::new_centralized(place.hosts[0].0.as_str(), place.hosts[0].1),
            Kind::Cluster => ServerConfig::Clustered { hosts, policy: ClusterDiscoveryPolicy::UseCache },
            Kind::Sentinel(service) => ServerConfig::Sentinel {
                hosts,
                service_name: service.clone(),
                username: self.sentinel_auth.0.clone(),
                password: self.sentinel_auth.1.clone(),
            },
        };
        let mut config = Config {
            fail_fast: false,
            server,
            version: RespVersion::RESP3,
            username: place.username.clone(),
            password: place.password.clone(),
            database: (place.database != 0).then_some(place.database),
            ..Config::default()
        };
        if place.tls {
            self.set_tls(&mut config)?;
        }
        Ok(config)
    }

    #[cfg(feature = "tls")]
    fn set_tls(&self, config: &mut Config) -> Result<()> {
        config.tls = Some(self.tls.connector()?);
        Ok(())
    }

    #[cfg(not(feature = "tls"))]
    fn set_tls(&self, _: &mut Config) -> Result<()> {
        Err(super::tls::missing())
    }

    pub(super) fn driver(&self, config: &Config) -> Driver {
        let millis = |span: Duration| u32::try_from(span.as_millis()).unwrap_or(u32::MAX);
        let (least, most) = self.reconnect_backoff;
        let connection = ConnectionConfig {
            connection_timeout: self.connect_timeout,
            // A server that is paused accepts connections, and then says nothing.
            internal_command_timeout: self.connect_timeout.min(GREETING),
            max_command_attempts: 1,
            max_command_buffer_len: self.settings.max_queued,
            tcp: TcpConfig { nodelay: Some(true), ..TcpConfig::default() },
            ..ConnectionConfig::default()
        };
        let mut policy = ReconnectPolicy::new_exponential(0, millis(least), millis(most), 2);
        policy.set_jitter(millis(least));
        Driver::new(config.clone(), Some(PerformanceConfig::default()), Some(connection), Some(policy))
    }
}
