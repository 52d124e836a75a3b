//! What the demo and a node tell each other when the node starts: a line of JSON each, over the node's standard streams.

use std::{net::SocketAddr, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::discovery::Way;
use crate::database::Size;

/// The cluster's name.
pub(super) const CLUSTER: &str = "demo";

/// First line to a node: who it is. It holds the cluster's secret, which is why it is no argument.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Setup {
    pub(super) name: String,
    pub(super) secret: String,
    /// Where the node's certificate and key are.
    pub(super) folder: PathBuf,
    pub(super) database: PathBuf,
    pub(super) shops: u16,
    pub(super) products: u32,
    pub(super) seed: u64,
    /// Milliseconds that a query of a product is under way.
    pub(super) distance: u64,
    /// The token of those who may see names of keys on the admin page; none: there is no such page.
    pub(super) token: Option<String>,
    /// By what it finds the others.
    pub(super) way: Way,
}

/// First line of a node: where it gossips.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Hello {
    pub(super) gossip: SocketAddr,
}

/// Second line to a node: whom to ask who is there, and how many there must be.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Start {
    pub(super) seeds: Vec<SocketAddr>,
    pub(super) quorum: usize,
}

/// Second line of a node, once it serves: where.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Ready {
    pub(super) http: SocketAddr,
    /// Where its admin page is.
    pub(super) admin: Option<SocketAddr>,
}

/// What `GET /node` answers.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Report {
    pub(super) name: String,
    /// The active members that this node sees, itself included, by name.
    pub(super) members: Vec<String>,
    /// Which table of owners that makes.
    pub(super) epoch: u64,
    /// How often its view has changed.
    pub(super) changes: u64,
    /// Queries of the database by this node.
    pub(super) loads: u64,
}

impl Setup {
    pub(super) fn size(&self) -> Size {
        Size { shops: self.shops, products: self.products, seed: self.seed }
    }
}
