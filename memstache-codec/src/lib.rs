#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod format;

#[cfg(feature = "own-formats")]
#[doc(no_inline)]
pub use erased_serde;

#[cfg(feature = "message-pack")]
pub use self::format::MessagePack;
#[cfg(feature = "own-formats")]
pub use self::format::OwnFormat;
#[cfg(feature = "postcard")]
pub use self::format::Postcard;
#[cfg(feature = "bincode")]
pub use self::format::{BINCODE_LIMIT, Bincode};
pub use self::format::{Blob, Formats, NamedFormat, Raw};
