#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod compress;
mod compressor;
#[cfg(feature = "config")]
mod config;
#[cfg(feature = "zstd")]
mod dictionary;
mod format;
mod given;

#[cfg(feature = "own-formats")]
#[doc(no_inline)]
pub use erased_serde;

#[cfg(feature = "gzip")]
pub use self::compressor::Gzip;
#[cfg(feature = "lz4")]
pub use self::compressor::Lz4;
#[cfg(feature = "zstd")]
pub use self::compressor::Zstd;
#[cfg(feature = "config")]
pub use self::config::{CONFIG_EXAMPLE, compression, register, register_with};
#[cfg(feature = "zstd")]
pub use self::dictionary::{Dictionaries, Dictionary, DictionaryStats, MAX_DICTIONARY, Savings};
#[cfg(feature = "message-pack")]
pub use self::format::MessagePack;
#[cfg(feature = "own-formats")]
pub use self::format::OwnFormat;
#[cfg(feature = "postcard")]
pub use self::format::Postcard;
#[cfg(feature = "bincode")]
pub use self::format::{BINCODE_LIMIT, Bincode};
pub use self::{
    compress::{Asked, Compress, CompressBuilder, CompressStats},
    compressor::Compressor,
    format::{Blob, Formats, NamedFormat, Raw},
};
