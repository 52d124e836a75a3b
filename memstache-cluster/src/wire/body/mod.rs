//! The bodies of frames: calls and answers.
//!
//! Numbers are canonical LEB128 ("v" in the layouts), ids that are random by nature are fixed and big-endian. Points in
//! time cross as spans in whole milliseconds from the moment of writing, and become ticks of the reader's clock: no two
//! machines need a common one.

mod address;
mod answer;
mod call;
mod entry;
mod error;
mod lookup;
mod request;
mod response;

pub(crate) use self::{
    address::MAX_SEQUENCE,
    answer::{get_answer, put_answer},
    call::{get_call, put_call},
};
