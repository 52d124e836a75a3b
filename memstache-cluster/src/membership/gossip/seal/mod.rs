//! Sealing and opening datagrams.

mod envelope;
mod keys;
mod window;

pub(super) use self::{
    envelope::{Dropped, Envelope, Opened, Standing},
    keys::Keys,
};
