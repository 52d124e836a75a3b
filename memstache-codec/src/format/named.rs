//! A format chosen by name, as configuration does.

#[cfg(feature = "own-formats")]
use std::sync::Arc;
use std::{fmt, str::FromStr};

use bytes::Bytes;
use memstache_core::{Error, ErrorKind, Format, FormatId, Result};
use serde::{Serialize, de::DeserializeOwned};

#[cfg(feature = "own-formats")]
use super::own::{self, OwnFormat};
use crate::given::Given;

/// A format that was chosen by name: `postcard`, `bincode`, `message-pack`, `json`, `raw`, or one of your own.
///
/// It reads and writes what the format of that name does, and costs a comparison more.
///
/// ```
/// use memstache_codec::NamedFormat;
/// use memstache_core::{ErrorKind, Format, FormatId};
///
/// let format: NamedFormat = "postcard".parse()?;
/// assert_eq!((format.id(), format.name()), (FormatId::POSTCARD, "postcard"));
/// assert_eq!("yaml".parse::<NamedFormat>().unwrap_err().kind(), ErrorKind::Invalid);
/// # Ok::<(), memstache_core::Error>(())
/// ```
#[derive(Clone)]
pub struct NamedFormat(Kind);

#[derive(Clone)]
enum Kind {
    Raw,
    #[cfg(feature = "json")]
    Json,
    #[cfg(feature = "postcard")]
    Postcard,
    #[cfg(feature = "bincode")]
    Bincode,
    #[cfg(feature = "message-pack")]
    MessagePack,
    #[cfg(feature = "own-formats")]
    Own(Arc<dyn OwnFormat>),
}

/// The formats of this crate, by name and by the feature that each needs.
const KNOWN: [(&str, Option<Kind>); 5] = [
    #[cfg(feature = "postcard")]
    ("postcard", Some(Kind::Postcard)),
    #[cfg(not(feature = "postcard"))]
    ("postcard", None),
    #[cfg(feature = "bincode")]
    ("bincode", Some(Kind::Bincode)),
    #[cfg(not(feature = "bincode"))]
    ("bincode", None),
    #[cfg(feature = "message-pack")]
    ("message-pack", Some(Kind::MessagePack)),
    #[cfg(not(feature = "message-pack"))]
    ("message-pack", None),
    #[cfg(feature = "json")]
    ("json", Some(Kind::Json)),
    #[cfg(not(feature = "json"))]
    ("json", None),
    ("raw", Some(Kind::Raw)),
];

impl NamedFormat {
    /// Returns the name by which it was chosen.
    pub fn name(&self) -> &str {
        match &self.0 {
            Kind::Raw => "raw",
            #[cfg(feature = "json")]
            Kind::Json => "json",
            #[cfg(feature = "postcard")]
            Kind::Postcard => "postcard",
            #[cfg(feature = "bincode")]
            Kind::Bincode => "bincode",
            #[cfg(feature = "message-pack")]
            Kind::MessagePack => "message-pack",
            #[cfg(feature = "own-formats")]
            Kind::Own(own) => own.name(),
        }
    }
}

/// Errors: [`Unsupported`](ErrorKind::Unsupported) with the feature's name if this build lacks it,
/// [`Invalid`](ErrorKind::Invalid) if there is no such format.
impl FromStr for NamedFormat {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        known(name, &[])
    }
}

/// Finds a format of this crate; the error names the others, too.
fn known(name: &str, own: &[NamedFormat]) -> Result<NamedFormat> {
    let names = || {
        let known = KNOWN.iter().map(|(name, _)| *name);
        known.chain(own.iter().map(NamedFormat::name)).collect::<Vec<_>>().join(", ")
    };
    let found = KNOWN.into_iter().find(|(known, _)| *known == name);
    let (name, kind) =
        found.ok_or_else(|| Error::invalid("format", format_args!("one of {}", names()), Given(name)))?;
    let lacking =
        || Error::new(ErrorKind::Unsupported, format!("format {name} needs the feature `{name}` of memstache-codec"));
    kind.map(NamedFormat).ok_or_else(lacking)
}

/// Passes a call on to the format itself.
macro_rules! pass {
    ($self:ident, $format:ident => $call:expr, $own:ident => $otherwise:expr) => {
        match &$self.0 {
            Kind::Raw => {
                let $format = super::Raw;
                $call
            }
            #[cfg(feature = "json")]
            Kind::Json => {
                let $format = memstache_core::Json;
                $call
            }
            #[cfg(feature = "postcard")]
            Kind::Postcard => {
                let $format = super::Postcard;
                $call
            }
            #[cfg(feature = "bincode")]
            Kind::Bincode => {
                let $format = super::Bincode;
                $call
            }
            #[cfg(feature = "message-pack")]
            Kind::MessagePack => {
                let $format = super::MessagePack;
                $call
            }
            #[cfg(feature = "own-formats")]
            Kind::Own($own) => $otherwise,
        }
    };
}

impl Format for NamedFormat {
    fn id(&self) -> FormatId {
        pass!(self, format => format.id(), own => own.id())
    }

    fn encode<T: Serialize + ?Sized>(&self, value: &T) -> Result<Bytes> {
        pass!(self, format => format.encode(value), own => own::encode(&**own, value))
    }

    fn decode<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T> {
        pass!(self, format => format.decode(bytes), own => own::decode(&**own, bytes))
    }

    fn decode_shared<T: DeserializeOwned>(&self, bytes: &Bytes) -> Result<T> {
        pass!(self, format => format.decode_shared(bytes), own => own::decode(&**own, bytes))
    }
}

impl fmt::Debug for NamedFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NamedFormat").field(&self.name()).finish()
    }
}

/// The formats that may be chosen by name: those of this crate and your own.
///
/// ```
/// # #[cfg(feature = "own-formats")] {
/// use memstache_codec::{Formats, OwnFormat, erased_serde};
/// use memstache_core::{Error, ErrorKind, Format, FormatId, Result};
///
/// /// JSON under another name.
/// #[derive(Debug)]
/// struct Mine;
///
/// impl OwnFormat for Mine {
///     fn name(&self) -> &str {
///         "mine"
///     }
///     fn id(&self) -> FormatId {
///         FormatId(FormatId::FIRST_OWN.0 + 7)
///     }
///     fn encode(&self, value: &dyn erased_serde::Serialize, out: &mut Vec<u8>) -> Result<()> {
///         let problem = |_| Error::new(ErrorKind::Invalid, "not to be written as mine");
///         serde_json::to_writer(out, value).map_err(problem)
///     }
///     fn decode(
///         &self,
///         bytes: &[u8],
///         read: &mut dyn FnMut(&mut dyn erased_serde::Deserializer<'_>) -> Result<()>,
///     ) -> Result<()> {
///         let mut json = serde_json::Deserializer::from_slice(bytes);
///         read(&mut <dyn erased_serde::Deserializer>::erase(&mut json))?;
///         // What is left over is no part of the value.
///         json.end().map_err(|_| Error::new(ErrorKind::Invalid, "mine is followed by something"))
///     }
/// }
///
/// let formats = Formats::new().with_own(Mine)?;
/// let format = formats.named("mine")?;
/// assert_eq!(&format.encode(&[1, 2])?[..], b"[1,2]");
/// assert_eq!(format.decode::<Vec<u32>>(b"[1,2]")?, [1, 2]);
/// assert!(format.decode::<Vec<u32>>(b"[1,2] 3").is_err());
/// # }
/// # Ok::<(), memstache_core::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Formats {
    own: Vec<NamedFormat>,
}

impl Formats {
    /// Starts with the formats of this crate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a format of your own. A name or an id that is taken is [`Invalid`](ErrorKind::Invalid), and so is an id
    /// below [`FormatId::FIRST_OWN`].
    #[cfg(feature = "own-formats")]
    pub fn with_own(mut self, format: impl OwnFormat) -> Result<Self> {
        let (name, id) = (format.name(), format.id());
        if id.0 < FormatId::FIRST_OWN.0 || self.own.iter().any(|own| own.id() == id) {
            return Err(Error::invalid("format id", "free, and from FormatId::FIRST_OWN on", id.0));
        }
        if name.is_empty()
            || KNOWN.iter().any(|(known, _)| *known == name)
            || self.own.iter().any(|own| own.name() == name)
        {
            return Err(Error::invalid("format name", "free, and not empty", Given(name)));
        }
        self.own.push(NamedFormat(Kind::Own(Arc::new(format))));
        Ok(self)
    }

    /// Returns the format of a name; errors as for `NamedFormat::from_str`.
    pub fn named(&self, name: &str) -> Result<NamedFormat> {
        match self.own.iter().find(|own| own.name() == name) {
            Some(own) => Ok(own.clone()),
            None => known(name, &self.own),
        }
    }

    /// Iterates over the names that can be chosen in this build.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let known = KNOWN.iter().filter(|(_, kind)| kind.is_some()).map(|(name, _)| *name);
        known.chain(self.own.iter().map(NamedFormat::name))
    }
}
