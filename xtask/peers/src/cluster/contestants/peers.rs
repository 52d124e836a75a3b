//! Calls between memstache's peers, without an engine.

use std::sync::Arc;

use anyhow::Result;
use bytes::Bytes;
use memstache_cluster::{
    net::Tls,
    peer_testing::{EchoClient, EchoServer},
};

use super::{LEN, Node};
use crate::cluster::tls::NAME;

/// Asks an echo.
#[derive(Clone)]
pub(super) struct Echo {
    client: EchoClient,
    value: Bytes,
    _server: Arc<EchoServer>,
}

impl Echo {
    pub(super) async fn start(tls: &Tls) -> Result<Self> {
        let server = EchoServer::start(tls, ([127, 0, 0, 1], 0).into(), NAME).await?;
        let client = EchoClient::new(Arc::new(tls.clone()), NAME, server.address()?)?;
        Ok(Self { client, value: vec![7; LEN].into(), _server: Arc::new(server) })
    }
}

impl Node for Echo {
    async fn get(&self, _: usize) -> Result<usize> {
        Ok(self.client.echo(self.value.clone()).await?.len())
    }
}
