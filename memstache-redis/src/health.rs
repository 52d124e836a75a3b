//! How the servers are, asked at once.

use std::time::Duration;

use futures_util::future::join_all;

use crate::{
    client::{Client, Command, Guarded, Reply},
    listen::Listeners,
};

/// How a store's servers are.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RedisHealth {
    /// All primaries that are known; none before the first connection to Sentinels or a Cluster.
    pub servers: Vec<ServerHealth>,
    /// Whether changes are told; `None` if nobody subscribed. Near caches are unverified while they are not.
    pub coherent: Option<bool>,
    /// The word by which servers refuse the credentials, if they do: `WRONGPASS`, `NOAUTH`.
    pub refused: Option<String>,
}

/// How one primary is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerHealth {
    /// Host and port.
    pub server: String,
    /// Whether it answers.
    pub up: bool,
    /// Which keys it lets go when it is full, as it says itself; `None` if it does not say.
    pub eviction: Option<String>,
}

impl RedisHealth {
    /// Returns whether everything that is used works.
    pub fn is_up(&self) -> bool {
        !self.servers.is_empty() && self.servers.iter().all(|server| server.up) && self.coherent != Some(false)
    }

    pub(crate) async fn ask(client: &dyn Client, guarded: &Guarded, listeners: &Listeners, within: Duration) -> Self {
        let topology = guarded.topology();
        let asked = topology.nodes.iter().map(|node| async {
            let slot = node.slots.first().map_or(0, |(first, _)| *first);
            let up = client.send(slot, Command::plain("PING", &[]), within).await.is_ok();
            let eviction = if up { eviction(client, slot, within).await } else { None };
            ServerHealth { server: node.name.to_string(), up, eviction }
        });
        Self { servers: join_all(asked).await, coherent: listeners.is_coherent(), refused: client.refused() }
    }
}

/// Reads `maxmemory_policy` of a server: by INFO, which needs no right to read its configuration.
pub(crate) async fn eviction(client: &dyn Client, slot: u16, within: Duration) -> Option<String> {
    let info = client.send(slot, Command::plain("INFO", &["memory"]), within).await.ok().and_then(Reply::into_bytes)?;
    policy_of(std::str::from_utf8(&info).ok()?)
}

fn policy_of(info: &str) -> Option<String> {
    info.lines().find_map(|line| line.strip_prefix("maxmemory_policy:")).map(|policy| policy.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_is_one_line_of_many() {
        let info = "# Memory\r\nused_memory:1\r\nmaxmemory_policy:noeviction\r\nx:y\r\n";
        assert_eq!(policy_of(info).as_deref(), Some("noeviction"));
        assert_eq!(policy_of("used_memory:1"), None);
    }

    #[test]
    fn up_means_all_of_it() {
        let server = |up| ServerHealth { server: "h:1".into(), up, eviction: None };
        for (servers, coherent, up) in [
            (vec![server(true)], None, true),
            (vec![server(true)], Some(true), true),
            (vec![server(true)], Some(false), false),
            (vec![server(true), server(false)], None, false),
            (vec![], None, false),
        ] {
            assert_eq!(RedisHealth { servers, coherent, refused: None }.is_up(), up);
        }
    }
}
