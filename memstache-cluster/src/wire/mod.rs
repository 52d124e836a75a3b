//! What travels between two nodes: calls, answers, and how they are written.

mod answer;
mod body;
mod call;
mod cause;
mod context;
mod handler;
mod header;
mod names;
mod out;
mod reader;
#[cfg(test)]
mod tests;
pub(crate) mod varint;
mod writer;

pub use self::cause::DataSourceError;
pub(crate) use self::{
    answer::{Answer, Fetched, Hot, Origin, Peeked, Promise, is_left_out},
    body::{MAX_SEQUENCE, get_answer, get_call, put_answer, put_call},
    call::{Call, MAX_RECORDS, RegistryRecord},
    context::{CallContext, TraceContext},
    handler::{Calls, Handler, PeerInfo},
    header::{Frame, HEADER, Header, Kind, MAX_FRAME, VERSION, announced, begin, end, next, put_bare},
    names::Names,
    out::{Mark, Out},
    reader::{MAX_ITEMS, Reader},
    writer::Writer,
};
