//! What every public type can do.

use std::fmt::Debug;

use memstache_codec::{Asked, Blob, Compress, CompressBuilder, CompressStats, Formats, NamedFormat, Raw};
use memstache_core::{Buffer, BufferPool, BufferPoolBuilder, BufferPoolStats};

const fn shared<T: Debug + Send + Sync + 'static>() {}
const fn copied<T: Debug + Send + Sync + Clone + 'static>() {}

const _: () = {
    copied::<Asked>();
    copied::<Blob>();
    copied::<BufferPool>();
    copied::<BufferPoolBuilder>();
    copied::<BufferPoolStats>();
    copied::<Compress>();
    copied::<CompressStats>();
    copied::<Formats>();
    copied::<NamedFormat>();
    copied::<Raw>();
    shared::<Buffer>();
    shared::<CompressBuilder>();
};

#[cfg(feature = "postcard")]
const _: () = copied::<memstache_codec::Postcard>();
#[cfg(feature = "bincode")]
const _: () = copied::<memstache_codec::Bincode>();
#[cfg(feature = "message-pack")]
const _: () = copied::<memstache_codec::MessagePack>();
#[cfg(feature = "lz4")]
const _: () = shared::<memstache_codec::Lz4>();
#[cfg(feature = "gzip")]
const _: () = shared::<memstache_codec::Gzip>();
#[cfg(feature = "zstd")]
const _: () = {
    shared::<memstache_codec::Zstd>();
    copied::<memstache_codec::Dictionaries>();
    copied::<memstache_codec::Dictionary>();
    copied::<memstache_codec::DictionaryStats>();
    copied::<memstache_codec::Savings>();
};
