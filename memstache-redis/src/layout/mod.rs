//! How entries lie in Redis: pure, no I/O.

mod entry;
mod head;
mod keys;
mod line;
pub(crate) mod marker;

pub(crate) use self::{
    entry::{ROOM, decode, payload},
    head::flags,
    head::{Head, LEN as HEAD_LEN, Visible},
    keys::{Keys, TenantKeys},
    line::{Hides, Line},
    marker::Marker,
};

#[cfg(test)]
pub(crate) use self::head::tests::write as write_head;
