//! Ways to compress.

#[cfg(feature = "gzip")]
mod gzip;
#[cfg(any(feature = "gzip", feature = "lz4", feature = "zstd"))]
mod idle;
#[cfg(feature = "lz4")]
mod lz4;
#[cfg(feature = "zstd")]
pub(crate) mod zstd;

use std::{fmt, sync::Arc};

use memstache_core::{Encoding, Error, ErrorKind, Result};

#[cfg(feature = "gzip")]
pub use self::gzip::Gzip;
#[cfg(feature = "lz4")]
pub use self::lz4::Lz4;
#[cfg(feature = "zstd")]
pub use self::zstd::Zstd;

use crate::given::Given;

/// A way to compress values; implement it to bring your own.
///
/// Its encoding's id is stored with every value and never changes.
///
/// ```
/// use memstache_codec::{Compress, Compressor};
/// use memstache_core::{Encoding, Error, ErrorKind, Result};
///
/// /// Writes a run of one byte as that byte.
/// #[derive(Debug)]
/// struct Runs;
///
/// impl Compressor for Runs {
///     fn name(&self) -> &str {
///         "runs"
///     }
///     fn encoding(&self) -> Encoding {
///         Encoding(Encoding::FIRST_OWN.0 + 1)
///     }
///     fn compress(&self, plain: &[u8], out: &mut Vec<u8>) -> Result<()> {
///         match plain {
///             [first, rest @ ..] if rest.iter().all(|byte| byte == first) => out.push(*first),
///             _ => out.extend_from_slice(plain), // no smaller: the value is then stored as it is
///         }
///         Ok(())
///     }
///     fn decompress(&self, packed: &[u8], plain: &mut [u8]) -> Result<()> {
///         let [byte] = packed else { return Err(Error::new(ErrorKind::Rejected, "no run")) };
///         plain.fill(*byte);
///         Ok(())
///     }
/// }
///
/// let compress = Compress::builder().register(Runs).algorithm("runs").build()?;
/// # let _ = compress;
/// # Ok::<(), memstache_core::Error>(())
/// ```
pub trait Compressor: fmt::Debug + Send + Sync + 'static {
    /// Returns the name by which it is chosen.
    fn name(&self) -> &str;

    /// Returns the id that is stored with every value, from [`Encoding::FIRST_OWN`] on.
    fn encoding(&self) -> Encoding;

    /// Appends the compressed value to `out`, which is empty and a buffer that was rented.
    ///
    /// On an error the value is stored as it is.
    fn compress(&self, plain: &[u8], out: &mut Vec<u8>) -> Result<()>;

    /// Fills `plain` with the value, exactly: another length is an error.
    ///
    /// Hostile bytes give an error of kind [`Rejected`](ErrorKind::Rejected), never a panic.
    fn decompress(&self, packed: &[u8], plain: &mut [u8]) -> Result<()>;

    /// Returns the longest value that these bytes could be, if that is cheap to know.
    ///
    /// It is compared with the length that the stored header declares before memory is allocated. Default: any length.
    fn longest(&self, packed: &[u8]) -> u64 {
        let _ = packed;
        u64::MAX
    }
}

/// The compressors of this crate: encoding, and the feature by whose name they are chosen.
const KNOWN: [(Encoding, &str); 3] = [(Encoding::ZSTD, "zstd"), (Encoding::LZ4, "lz4"), (Encoding::GZIP, "gzip")];

/// The names of this crate's compressors, whether this build has them or not.
pub(crate) fn names() -> [&'static str; 3] {
    KNOWN.map(|(_, name)| name)
}

/// Makes every compressor that this build has, for reading.
pub(crate) fn built_in() -> Vec<Arc<dyn Compressor>> {
    vec![
        #[cfg(feature = "lz4")]
        Arc::new(Lz4::new()),
        #[cfg(feature = "zstd")]
        Arc::new(Zstd::default()),
        #[cfg(feature = "gzip")]
        Arc::new(Gzip::default()),
    ]
}

/// Makes the compressor of a name, with a level after a colon; `None` if it is none of this crate's.
pub(crate) fn named(name: &str) -> Option<Result<Arc<dyn Compressor>>> {
    let (name, level) = name.split_once(':').map_or((name, None), |(name, level)| (name, Some(level)));
    let (_, name) = KNOWN.into_iter().find(|(_, known)| *known == name)?;
    Some(make(name, level))
}

/// The default level of a compressor that has levels, the least and the most of them.
#[cfg(feature = "config")]
pub(crate) fn levels(name: &str) -> Option<(i32, (i32, i32))> {
    match name {
        "zstd" => Some((3, (-7, 19))),
        "gzip" => Some((6, (1, 9))),
        _ => None,
    }
}

fn make(name: &'static str, level: Option<&str>) -> Result<Arc<dyn Compressor>> {
    let level = level
        .map(|level| level.parse::<i32>().map_err(|_| Error::invalid("compression level", "a number", Given(level))));
    let level = level.transpose()?;
    match (name, level) {
        #[cfg(feature = "lz4")]
        ("lz4", None) => Ok(Arc::new(Lz4::new())),
        #[cfg(feature = "zstd")]
        ("zstd", level) => Ok(Arc::new(Zstd::new(level.unwrap_or(Zstd::DEFAULT_LEVEL))?)),
        #[cfg(feature = "gzip")]
        ("gzip", level) => Ok(Arc::new(Gzip::new(level.unwrap_or(Gzip::DEFAULT_LEVEL))?)),
        #[cfg(feature = "lz4")]
        ("lz4", Some(level)) => Err(Error::invalid("compression level of lz4", "left out", level)),
        _ => Err(lacking(name)),
    }
}

/// The error of a build that lacks a compressor.
fn lacking(feature: &str) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        format!("compression by {feature} needs the feature `{feature}` of memstache-codec"),
    )
}

/// The error of a stored value whose compressor is not here.
pub(crate) fn unsupported(encoding: Encoding) -> Error {
    match KNOWN.into_iter().find(|(known, _)| *known == encoding) {
        Some((_, feature)) => lacking(feature),
        None => Error::new(
            ErrorKind::Unsupported,
            format!("the stored value is compressed by encoding {}, which is not registered", encoding.0),
        ),
    }
}

#[cfg(any(feature = "gzip", feature = "lz4", feature = "zstd"))]
fn broken(what: &'static str) -> Error {
    Error::new(ErrorKind::Rejected, what)
}
