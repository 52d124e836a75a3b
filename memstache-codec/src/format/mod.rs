//! Formats of typed values.

#[cfg(feature = "bincode")]
mod bincode;
mod blob;
#[cfg(any(feature = "bincode", feature = "message-pack", feature = "postcard"))]
mod guard;
#[cfg(feature = "message-pack")]
mod message_pack;
mod named;
#[cfg(feature = "own-formats")]
mod own;
#[cfg(feature = "postcard")]
mod postcard;
mod raw;

#[cfg(feature = "bincode")]
pub use self::bincode::{BINCODE_LIMIT, Bincode};
#[cfg(feature = "message-pack")]
pub use self::message_pack::MessagePack;
#[cfg(feature = "own-formats")]
pub use self::own::OwnFormat;
#[cfg(feature = "postcard")]
pub use self::postcard::Postcard;
pub use self::{
    blob::Blob,
    named::{Formats, NamedFormat},
    raw::Raw,
};

#[cfg(any(feature = "bincode", feature = "message-pack", feature = "postcard"))]
mod errors {
    use memstache_core::{BoxError, Error, ErrorKind};

    pub(super) fn unwritable(what: &'static str, error: impl Into<BoxError>) -> Error {
        Error::new(ErrorKind::Invalid, what).with_source(error)
    }

    /// The cause is left out: serde's messages may quote the value.
    pub(super) fn unreadable(what: &'static str) -> Error {
        Error::new(ErrorKind::Rejected, what)
    }
}
