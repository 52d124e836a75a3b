//! One value for each format and compression, as a store would hold it.

use std::{fs, path::Path};

use bytes::Bytes;
use memstache_codec::{Compress, CompressBuilder, NamedFormat};
use memstache_core::{Entry, ErrorKind, Format, Lifetime, NewEntry, Result, Schema, Sequence, Tick, Version, envelope};

use crate::common::{self, User, address, text, user};

const NOW: Tick = Tick::from_millis(1 << 41);

/// A format, and whether this build has it.
pub(crate) struct FormatCase {
    pub(crate) name: &'static str,
    here: bool,
}

pub(crate) const FORMATS: [FormatCase; 5] = [
    FormatCase { name: "raw", here: true },
    FormatCase { name: "json", here: cfg!(feature = "json") },
    FormatCase { name: "postcard", here: cfg!(feature = "postcard") },
    FormatCase { name: "bincode", here: cfg!(feature = "bincode") },
    FormatCase { name: "message-pack", here: cfg!(feature = "message-pack") },
];

/// A compression, the feature it needs, and whether this build has it.
pub(crate) struct Compression {
    name: &'static str,
    feature: &'static str,
    here: bool,
}

pub(crate) const COMPRESSIONS: [Compression; 5] = [
    Compression { name: "plain", feature: "", here: true },
    Compression { name: "lz4", feature: "lz4", here: cfg!(feature = "lz4") },
    Compression { name: "zstd", feature: "zstd", here: cfg!(feature = "zstd") },
    Compression { name: "dictionary", feature: "zstd", here: cfg!(feature = "zstd") },
    Compression { name: "gzip", feature: "gzip", here: cfg!(feature = "gzip") },
];

impl FormatCase {
    pub(crate) fn is_here(&self) -> bool {
        self.here
    }

    fn encode(&self) -> Bytes {
        let format: NamedFormat = self.name.parse().unwrap();
        if self.name == "raw" { format.encode(&text(4_000)) } else { format.encode(&users()) }.unwrap()
    }

    fn check(&self, bytes: &Bytes) {
        match self.name.parse::<NamedFormat>() {
            Ok(format) if self.name == "raw" => assert_eq!(format.decode::<Vec<u8>>(bytes).unwrap(), text(4_000)),
            Ok(format) => assert_eq!(format.decode::<Vec<User>>(bytes).unwrap(), users()),
            Err(error) => {
                assert!(!self.here);
                assert_eq!(error.kind(), ErrorKind::Unsupported);
                assert!(error.to_string().contains(&format!("feature `{}`", self.name)), "{error}");
            }
        }
    }
}

/// What is written and read.
pub(crate) struct Sample {
    pub(crate) format: &'static FormatCase,
    pub(crate) compression: &'static Compression,
}

pub(crate) fn samples() -> impl Iterator<Item = Sample> {
    FORMATS.iter().flat_map(|format| COMPRESSIONS.iter().map(move |compression| Sample { format, compression }))
}

impl Sample {
    pub(crate) fn file(&self) -> String {
        format!("{}-{}.envelope", self.format.name, self.compression.name)
    }

    pub(crate) fn is_here(&self) -> bool {
        self.format.here && self.compression.here
    }

    /// The entry as the stack hands it to a store that keeps bytes.
    pub(crate) fn write(&self) -> Vec<u8> {
        let mut entry = NewEntry::new(self.format.encode(), Lifetime::UNLIMITED);
        entry.content.format = self.format.name.parse::<NamedFormat>().unwrap().id();
        entry.content.schema = Some(Schema::new("user", 1));
        let layer = with_dictionary(Compress::builder(), self.compression.name == "dictionary");
        let algorithm = match self.compression.name {
            "plain" => None,
            "dictionary" => Some("zstd"),
            name => Some(name),
        };
        let layer = algorithm.map_or_else(Compress::builder, |name| layer.algorithm(name)).build().unwrap();
        let packed = common::down(&layer, &address(None), entry);
        assert_eq!(packed.content.encoding.0 != 0, algorithm.is_some(), "{}", self.file());
        envelope::encode(&packed.into_entry(NOW, Version(7), Sequence(3)), NOW).to_vec()
    }

    /// Reads what some build wrote: the value, or an error that names the feature.
    fn read(&self, bytes: Vec<u8>) {
        let entry = envelope::decode(bytes.into(), NOW).unwrap();
        assert_eq!((entry.meta.version, entry.meta.content.schema), (Version(7), Some(Schema::new("user", 1))));
        match open(entry) {
            Ok(value) => {
                assert!(self.compression.here);
                self.format.check(&value);
            }
            Err(error) => {
                assert!(!self.compression.here, "{}: {error}", self.file());
                assert_eq!((error.kind(), error.version()), (ErrorKind::Unsupported, Some(Version(7))));
                let named = format!("feature `{}`", self.compression.feature);
                assert!(error.to_string().contains(&named), "{error}");
            }
        }
    }
}

/// Reads every file of a folder and returns how many there were.
pub(crate) fn read_all(folder: &Path) -> usize {
    let mut count = 0;
    for sample in samples() {
        let Ok(bytes) = fs::read(folder.join(sample.file())) else { continue };
        sample.read(bytes);
        count += 1;
    }
    assert_eq!(fs::read_dir(folder).unwrap().count(), count, "a file that nobody reads");
    count
}

fn open(entry: Entry) -> Result<Bytes> {
    let layer = with_dictionary(Compress::builder(), true).build().unwrap();
    common::value(common::up(&layer, &address(None), entry))
}

fn users() -> Vec<User> {
    (0..12).map(user).collect()
}

/// The dictionary that was trained when the golden values were written.
#[cfg(feature = "zstd")]
fn with_dictionary(builder: CompressBuilder, wanted: bool) -> CompressBuilder {
    use memstache_codec::{Dictionaries, Dictionary};

    const BYTES: &[u8] = include_bytes!("../golden/dictionary");
    let dictionaries = Dictionaries::new();
    if wanted {
        dictionaries.add(&common::space(None), Dictionary::from_bytes(BYTES).unwrap()).unwrap();
    }
    builder.dictionaries(&dictionaries)
}

#[cfg(not(feature = "zstd"))]
fn with_dictionary(builder: CompressBuilder, _: bool) -> CompressBuilder {
    builder
}
