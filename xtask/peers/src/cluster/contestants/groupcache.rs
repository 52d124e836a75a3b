//! The crate `groupcache`, over TLS, without copies at the reader.

use std::{error::Error, net::TcpListener};

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use groupcache::{Groupcache, ValueLoader, moka::future::Cache};
use tonic::transport::{Certificate, ClientTlsConfig, Identity, Server, ServerTlsConfig};

use super::{KEYS, LEN, Node};
use crate::cluster::tls::{Certificates, NAME};

/// Values that say who made them, so that keys can be told apart by their owners.
struct Maker(char);

#[async_trait]
impl ValueLoader for Maker {
    type Value = String;

    async fn load(&self, _: &str) -> Result<String, Box<dyn Error + Send + Sync + 'static>> {
        Ok(self.0.to_string().repeat(LEN))
    }
}

/// One of two nodes, and keys that the other one owns.
#[derive(Clone)]
pub(super) struct Group {
    node: Groupcache<String>,
    keys: Vec<String>,
}

impl Group {
    pub(super) async fn start(certificates: &Certificates) -> Result<Self> {
        let (node, other) = (start('a', certificates)?, start('b', certificates)?);
        // The servers begin to listen in their own time.
        let mut connected = Ok(());
        for _ in 0..200 {
            connected = node.add_peer(other.addr().into()).await;
            if connected.is_ok() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        connected.context("the peers of groupcache do not meet")?;
        let mut keys = Vec::new();
        for number in 0.. {
            let key = format!("key-{number}");
            if node.get(&key).await?.starts_with('b') {
                keys.push(key);
            }
            if keys.len() == KEYS {
                break;
            }
        }
        Ok(Self { node, keys })
    }
}

fn start(name: char, certificates: &Certificates) -> Result<Groupcache<String>> {
    let Certificates { authority, certificate, key } = certificates.clone();
    // A port that was free a moment ago.
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let authority = Certificate::from_pem(authority);
    let client = ClientTlsConfig::new()
        .ca_certificate(authority.clone())
        .identity(Identity::from_pem(&certificate, &key))
        .domain_name(NAME);
    let server = ServerTlsConfig::new().identity(Identity::from_pem(certificate, key)).client_ca_root(authority);
    let node = Groupcache::builder(address.into(), Maker(name))
        .hot_cache(Cache::builder().max_capacity(0).build())
        .https()
        .grpc_endpoint_builder(move |endpoint| {
            endpoint.tls_config(client.clone()).expect("the certificates of this run are sound")
        })
        .build();
    let server = Server::builder().tls_config(server)?.add_service(node.grpc_service()).serve(address);
    tokio::spawn(server);
    Ok(node)
}

impl Node for Group {
    async fn get(&self, number: usize) -> Result<usize> {
        Ok(self.node.get(&self.keys[number]).await?.len())
    }
}
