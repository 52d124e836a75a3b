//! What a node is told by its file and by variables: `[node]`, `[node.keyspaces.NAME]` and `[discovery]`.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use memstache_core::config::{CacheConfig, ConfigError, Section};

/// Who this node is, and how it takes part.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) cluster: String,
    pub(crate) name: Option<String>,
    /// Where it listens for peers, for gossip, and for who asks how it is.
    pub(crate) bind: SocketAddr,
    pub(crate) gossip: SocketAddr,
    pub(crate) health: SocketAddr,
    pub(crate) admin: Option<Admin>,
    /// The address at which others reach it.
    pub(crate) advertise: IpAddr,
    pub(crate) secret: PathBuf,
    pub(crate) tls: Option<Tls>,
    pub(crate) quorum: usize,
    pub(crate) shutdown: Duration,
    pub(crate) zone: Option<String>,
    pub(crate) keyspaces: Vec<Keyspace>,
}

/// Where the admin endpoints and their page are, and the tokens for them.
pub(crate) struct Admin {
    pub(crate) at: SocketAddr,
    pub(crate) read_token: Option<String>,
    pub(crate) write_token: Option<String>,
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").field("at", &self.at).finish_non_exhaustive()
    }
}

/// Files of PEM, and the name in all nodes' certificates.
#[derive(Debug)]
pub(crate) struct Tls {
    pub(crate) ca: PathBuf,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) name: Option<String>,
}

#[derive(Debug)]
pub(crate) struct Keyspace {
    pub(crate) name: String,
    pub(crate) max_bytes: usize,
    pub(crate) default_ttl: Option<Duration>,
}

/// By what nodes find each other.
#[derive(Debug)]
pub(crate) enum Discovery {
    Static(Vec<String>),
    Dns {
        name: Option<String>,
        service: Option<String>,
    },
    Kubernetes {
        labels: Option<String>,
        service: Option<String>,
        namespace: Option<String>,
        port_name: String,
    },
    Nats {
        server: String,
        subject: String,
        user: Option<String>,
        password: Option<String>,
        token: Option<String>,
        ca: Option<String>,
    },
}

/// Reads all of it; an error tells everything that is wrong in a section.
pub(crate) fn read(config: &CacheConfig) -> Result<(Node, Discovery), ConfigError> {
    Ok((config.section("node", node)?, config.section("discovery", discovery)?))
}

fn node(section: &mut Section<'_>) -> Node {
    let day = Duration::from_secs(86_400);
    Node {
        cluster: section.text("cluster", "memstache"),
        name: section.optional_text("name"),
        bind: parsed(section, "bind", "0.0.0.0:3320"),
        gossip: parsed(section, "gossip", "0.0.0.0:3322"),
        health: parsed(section, "health", "0.0.0.0:3321"),
        admin: admin(section),
        advertise: parsed(section, "advertise", "127.0.0.1"),
        secret: section.text("secret_file", "/run/secrets/memstache/secret").into(),
        tls: tls(section),
        quorum: section.count("quorum", 1, 1..=65_535),
        shutdown: section.span("shutdown_timeout", Duration::from_secs(30), Duration::from_secs(1)..=day),
        zone: section.optional_text("zone"),
        keyspaces: section.each("keyspaces", keyspace),
    }
}

fn admin(section: &mut Section<'_>) -> Option<Admin> {
    let [read_token, write_token] = ["admin_read_token", "admin_write_token"].map(|key| section.secret(key));
    let Some(at) = section.optional_text("admin") else {
        if read_token.is_some() || write_token.is_some() {
            section.refuse("admin", "must be set where there are tokens for it");
        }
        return None;
    };
    match at.parse() {
        Ok(at) => Some(Admin { at, read_token, write_token }),
        Err(_) => {
            section.refuse("admin", "must be an address and a port");
            None
        }
    }
}

fn tls(section: &mut Section<'_>) -> Option<Tls> {
    let files = ["tls_ca", "tls_certificate", "tls_key"].map(|key| section.optional_text(key).map(PathBuf::from));
    let name = section.optional_text("tls_name");
    match files {
        [Some(ca), Some(certificate), Some(key)] => Some(Tls { ca, certificate, key, name }),
        [None, None, None] => None,
        _ => {
            section.refuse("tls_ca", "must stand beside tls_certificate and tls_key, or none of them");
            None
        }
    }
}

fn keyspace(name: &str, section: &mut Section<'_>) -> Keyspace {
    let year = Duration::from_secs(365 * 86_400);
    Keyspace {
        name: name.to_owned(),
        max_bytes: section.bytes("max_bytes", 64 << 20, 1 << 20..=1 << 40),
        default_ttl: section.optional_span("default_ttl", Duration::from_millis(1)..=year),
    }
}

fn discovery(section: &mut Section<'_>) -> Discovery {
    match section.choice("kind", "static", &["static", "dns", "kubernetes", "nats"]).as_str() {
        "dns" => Discovery::Dns { name: section.optional_text("name"), service: section.optional_text("service") },
        "kubernetes" => Discovery::Kubernetes {
            labels: section.optional_text("labels"),
            service: section.optional_text("service"),
            namespace: section.optional_text("namespace"),
            port_name: section.text("port_name", "gossip"),
        },
        "nats" => Discovery::Nats {
            server: section.text("server", "nats://127.0.0.1:4222"),
            subject: section.text("subject", "memstache"),
            user: section.optional_text("user"),
            password: section.secret("password"),
            token: section.secret("token"),
            ca: section.optional_text("ca"),
        },
        _ => Discovery::Static(section.texts("seeds", &[])),
    }
}

/// Reads an address; one that is none is refused.
fn parsed<T: std::str::FromStr>(section: &mut Section<'_>, key: &'static str, default: &str) -> T {
    let text = section.text(key, default);
    text.parse().unwrap_or_else(|_| {
        section.refuse(key, "must be an address, and a port where there is one in the default");
        default.parse().ok().expect("defaults can be read")
    })
}
