//! What travels between two nodes: calls, answers, and how they are written.

mod answer;
mod call;
mod cause;
mod context;
mod handler;

pub use self::cause::DataSourceError;
pub(crate) use self::{
    answer::{Answer, Fetched, Hot, Origin, Peeked},
    call::{Call, RegistryRecord},
    context::{CallContext, TraceContext},
    handler::{Calls, Handler, PeerInfo},
};
