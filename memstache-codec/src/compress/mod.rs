//! Compression as a layer.

mod builder;
mod guess;
mod offload;
mod read;
mod stats;
mod write;

use std::{fmt, sync::Arc};

use memstache_core::{Address, BufferPool, Encoding, NewEntry, OneOrMany, Request, Response, Step, Transform};
use tokio::sync::Semaphore;

use self::stats::Counters;
pub use self::{builder::CompressBuilder, stats::CompressStats};
use crate::compressor::Compressor;
#[cfg(feature = "zstd")]
use crate::dictionary::Dictionaries;

/// Compresses values on their way down and decompresses them on their way up.
///
/// A value is written compressed if it is long enough, does not look compressed already, and is smaller afterwards by
/// a margin. What is read is told by its stored header, never by configuration: a layer that writes lz4, or nothing,
/// reads zstd all the same. A value whose compressor this build lacks is [`Unsupported`](memstache_core::ErrorKind), with
/// the feature's name; one that is broken, or would be larger than `max_plain`, is
/// [`Rejected`](memstache_core::ErrorKind). Both are misses for a typed handle. What one call decompresses in all is
/// bounded, too: [`max_plain_per_call`](CompressBuilder::max_plain_per_call).
///
/// Right: above the layer that seals, as [`Stack`](memstache_core::Stack) puts it.
///
/// ```text
/// compress( seal( store ) )
/// ```
///
/// Wrong: `seal( compress( store ) )`. What is sealed is not read by compression, so every value is stored at full length.
///
/// ```
/// # #[cfg(feature = "lz4")] {
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> memstache_core::Result<()> {
/// use memstache_codec::{Blob, Compress, Raw};
/// use memstache_core::{Cache, MemoryStore, Stack};
///
/// let compress = Compress::builder().lz4().build()?;
/// let stack = Stack::over(MemoryStore::builder().build()?).compress(compress.clone()).build();
/// let pages = Cache::builder(stack).keyspace("pages").format(Raw).build()?;
///
/// let page = "<p>tea</p>".repeat(1_000);
/// pages.set("tea", &page).await?;
/// assert_eq!(pages.get::<String>("tea").await?, Some(page));
/// assert_eq!((compress.stats().compressed, compress.stats().decompressed), (1, 1));
/// # Ok(())
/// # }
/// # main().unwrap();
/// # }
/// ```
///
/// # Cancellation
/// Work that was moved off the async threads ends by itself when its caller has left; its result is dropped.
#[derive(Clone)]
pub struct Compress(Arc<Inner>);

/// Whether an entry is worth compressing; given the address and the entry as it goes down.
type Predicate = Arc<dyn Fn(&Address, &NewEntry) -> bool + Send + Sync>;

struct Inner {
    writer: Option<Arc<dyn Compressor>>,
    /// Each with what it reads, which is asked for with every value.
    readers: Vec<(Encoding, Arc<dyn Compressor>)>,
    settings: Settings,
    predicate: Option<Predicate>,
    pool: BufferPool,
    #[cfg(feature = "zstd")]
    dictionaries: Option<Dictionaries>,
    counters: Counters,
    /// As many calls work off the async threads as there are cores: more would only wait for each other.
    permits: Arc<Semaphore>,
}

#[derive(Clone, Copy, Debug)]
struct Settings {
    threshold: Option<usize>,
    min_saving: f64,
    offload_above: usize,
    max_plain: usize,
    max_plain_per_call: Option<usize>,
}

impl Settings {
    /// How many bytes one call may decompress: of the longest values, four.
    fn per_call(&self) -> usize {
        self.max_plain_per_call.unwrap_or_else(|| self.max_plain.saturating_mul(4))
    }
}

impl Compress {
    /// Starts building the layer. Without an algorithm it reads everything and compresses nothing.
    pub fn builder() -> CompressBuilder {
        CompressBuilder::default()
    }

    /// Returns what this layer and its clones have counted.
    pub fn stats(&self) -> CompressStats {
        self.0.counters.snapshot()
    }
}

impl Inner {
    fn reader(&self, encoding: Encoding) -> Option<&dyn Compressor> {
        self.readers.iter().find(|(reads, _)| *reads == encoding).map(|(_, reader)| &**reader)
    }

    /// What must be known of a read when its answer comes.
    fn asked(&self, request: &Request) -> Asked {
        #[cfg(feature = "zstd")]
        if let Request::Get(get) = request
            && self.dictionaries.is_some()
        {
            return Asked(Some(get.items.map_ref(|item| item.address.clone())));
        }
        let _ = request;
        Asked(None)
    }
}

/// Whose values a read asked for, if there may be dictionaries by the time that it is answered.
#[derive(Clone, Debug)]
pub struct Asked(Option<OneOrMany<Address>>);

impl Asked {
    fn address(&self, at: usize) -> Option<&Address> {
        self.0.as_ref()?.as_slice().get(at)
    }
}

impl Transform for Compress {
    type Pending = Asked;

    #[inline]
    fn request(&self, request: Request) -> Step<(Request, Asked)> {
        let asked = self.0.asked(&request);
        match &self.0.writer {
            Some(_) if matches!(request, Request::Set(_)) => write::request(&self.0, request, asked),
            _ => Step::Now(Ok((request, asked))),
        }
    }

    #[inline]
    fn response(&self, asked: Asked, response: Response) -> Step<Response> {
        read::response(&self.0, asked, response)
    }
}

impl fmt::Debug for Compress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compress")
            .field("algorithm", &self.0.writer)
            .field("settings", &self.0.settings)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
