//! The thin line between the store and whatever speaks to Redis.

mod calls;
mod fred;
mod gather;
mod guarded;
mod refusal;
mod reply;
mod topology;
mod watchdog;

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use memstache_core::BoxFuture;

pub(crate) use self::{
    fred::{FredClient, Lanes, sha1},
    gather::Gather,
    guarded::{Guarded, GuardedStats},
    reply::Reply,
    topology::{Node, Topology, slot_of},
};

/// Speaks to one server, to the primary that Sentinel names, or to a Cluster.
pub(crate) trait Client: fmt::Debug + Send + Sync + 'static {
    /// Sends a command to the server of a slot. Dropping the future gives up the answer; the command may be sent yet.
    fn send(&self, slot: u16, command: Command, within: Duration) -> BoxFuture<'static, Result<Reply, Failure>>;

    /// Returns the primaries as they are known now.
    fn topology(&self) -> Arc<Topology>;

    /// Returns the word by which servers refuse who we are, if they do.
    fn refused(&self) -> Option<String> {
        None
    }

    /// Returns the number of the database, 0 in a Cluster.
    fn database(&self) -> u8 {
        0
    }

    /// Drops all connections that serve a slot, and makes new ones.
    fn reconnect(&self, slot: u16);

    /// Ends all connections, soon.
    fn close(&self);
}

/// A command with its arguments.
#[derive(Clone, Debug)]
pub(crate) struct Command {
    pub(crate) name: &'static str,
    pub(crate) args: Vec<Bytes>,
    /// The script that it calls, if it does.
    pub(crate) script: &'static str,
}

impl Command {
    pub(crate) fn new(name: &'static str, args: impl IntoIterator<Item = Bytes>) -> Self {
        Self { name, args: args.into_iter().collect(), script: "" }
    }

    pub(crate) fn plain(name: &'static str, args: &[&'static str]) -> Self {
        Self::new(name, args.iter().map(|arg| Bytes::from_static(arg.as_bytes())))
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// None came in time; the command may be carried out yet.
    Timeout,
    /// The connection broke, or there is none; the command may have been carried out.
    Disconnected,
    /// The queue is full; the command was not sent.
    Full,
    /// The server is known to be gone; the command was not sent.
    Open,
    /// The server refused; the first word of what it said.
    Server(String),
    /// What came is no answer.
    Protocol,
}

impl Failure {
    /// Returns whether it was for who asks: asking again is of no use.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self, Self::Server(code) if matches!(code.as_str(), "NOAUTH" | "WRONGPASS" | "NOPERM"))
    }

    /// Returns whether the server did not do its part: what breakers count.
    pub(crate) fn is_outage(&self) -> bool {
        match self {
            Self::Timeout | Self::Disconnected => true,
            Self::Server(code) => matches!(code.as_str(), "LOADING" | "MASTERDOWN" | "CLUSTERDOWN" | "READONLY"),
            Self::Full | Self::Open | Self::Protocol => false,
        }
    }
}
