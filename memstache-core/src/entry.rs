//! What is kept under an address: bytes, what they are, and how long they live.

use std::{collections::BTreeSet, fmt, sync::Arc, time::Duration};

use bytes::Bytes;

use crate::{
    clock::Tick,
    error::{Error, Result},
    lifetime::Lifetime,
    name::Tag,
    version::{Sequence, Version},
};

/// Most tags that one entry may carry.
pub const MAX_TAGS: usize = 32;

/// Which [`Format`](crate::Format) wrote a value. Ids never change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FormatId(pub u8);

impl FormatId {
    /// Bytes as given.
    pub const RAW: Self = Self(0);
    /// JSON.
    pub const JSON: Self = Self(1);
    /// postcard.
    pub const POSTCARD: Self = Self(2);
    /// bincode.
    pub const BINCODE: Self = Self(3);
    /// MessagePack with named fields.
    pub const MESSAGE_PACK: Self = Self(4);
    /// The first id of an application's own formats; the others are `FormatId(FIRST_OWN.0 + n)`.
    pub const FIRST_OWN: Self = Self(128);
}

/// How a value's bytes are compressed. Ids never change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Encoding(pub u8);

impl Encoding {
    /// Not compressed.
    pub const NONE: Self = Self(0);
    /// Zstandard (RFC 8878).
    pub const ZSTD: Self = Self(1);
    /// LZ4 block.
    pub const LZ4: Self = Self(2);
    /// gzip (RFC 1952).
    pub const GZIP: Self = Self(3);
    /// The first id of an application's own compressors.
    pub const FIRST_OWN: Self = Self(128);
}

/// What a typed value looks like: a tag made of a type's name and version.
///
/// A value with another schema than the one asked for is a clean miss, never decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Schema(pub u64);

impl Schema {
    /// Makes a schema from a name and a version; the same on every machine and in every release (FNV-1a, 64 bits).
    pub const fn new(name: &str, version: u32) -> Self {
        const PRIME: u64 = 0x0000_0100_0000_01b3;
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
        let name = name.as_bytes();
        let mut at = 0;
        while at < name.len() {
            hash = (hash ^ name[at] as u64).wrapping_mul(PRIME);
            at += 1;
        }
        let version = version.to_be_bytes();
        at = 0;
        while at < version.len() {
            hash = (hash ^ version[at] as u64).wrapping_mul(PRIME);
            at += 1;
        }
        Self(hash)
    }
}

/// A type that says what schema its values have, written by hand: no derive, nothing guessed.
///
/// Raise `VERSION` with every change that values written before would not survive: until everything is deployed, each
/// side then takes the other's values for misses.
///
/// ```
/// use memstache_core::{HasSchema, Schema};
///
/// struct User;
///
/// impl HasSchema for User {
///     const NAME: &'static str = "user";
///     const VERSION: u32 = 3;
/// }
/// assert_eq!(User::SCHEMA, Schema::new("user", 3));
/// ```
pub trait HasSchema {
    /// The name of the type in storage, whatever it is called in code.
    const NAME: &'static str;
    /// The version of its form.
    const VERSION: u32 = 1;
    /// The tag that is stored with values.
    const SCHEMA: Schema = Schema::new(Self::NAME, Self::VERSION);
}

/// What an entry's bytes are, told by the stored header and never by configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// The format of the value.
    pub format: FormatId,
    /// How the bytes are compressed.
    pub encoding: Encoding,
    /// Whether the bytes are sealed.
    pub sealed: bool,
    /// Whether this records that the source has no such key; the bytes are then empty.
    pub negative: bool,
    /// The schema of the value, if the writer set one.
    pub schema: Option<Schema>,
    /// The length of the value before compression and sealing.
    pub plain_len: u64,
}

/// What the writer asks for one entry, against the defaults of the layers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EntryOptions {
    /// Compress: `Some(false)` never, `Some(true)` whenever it helps. Default: the layer decides.
    pub compress: Option<bool>,
    /// Seal: `Some(true)` fails where nothing seals. Default: the layer decides.
    pub encrypt: Option<bool>,
}

/// The tags of an entry: at most 32, without duplicates. Cheap to clone; none costs nothing.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Tags(Option<Arc<[Tag]>>);

impl Tags {
    /// No tags.
    pub const NONE: Self = Self(None);

    /// Collects tags; more than 32 are [`Invalid`](crate::ErrorKind::Invalid).
    pub fn new(tags: impl IntoIterator<Item = Tag>) -> Result<Self> {
        let mut unique = BTreeSet::new();
        for tag in tags {
            unique.insert(tag);
            // Not collected further: there may be any number of them.
            if unique.len() > MAX_TAGS {
                let given = format_args!("at least {}", unique.len());
                return Err(Error::invalid("tags", format_args!("at most {MAX_TAGS}"), given));
            }
        }
        Ok(Self((!unique.is_empty()).then(|| unique.into_iter().collect())))
    }

    /// Returns the tags in order.
    pub fn as_slice(&self) -> &[Tag] {
        self.0.as_deref().unwrap_or_default()
    }

    /// Iterates over the tags in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Tag> {
        self.as_slice().iter()
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Returns the bytes that they take.
    #[cfg(feature = "memory")]
    pub(crate) fn weight(&self) -> usize {
        self.as_slice().iter().map(|tag| tag.as_str().len() + 2 * size_of::<Tag>()).sum()
    }
}

impl<'a> IntoIterator for &'a Tags {
    type Item = &'a Tag;
    type IntoIter = std::slice::Iter<'a, Tag>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Debug for Tags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tags({})", self.as_slice().len())
    }
}

/// An entry on its way down to a store.
#[derive(Clone)]
pub struct NewEntry {
    /// The value's bytes, as the layers so far have made them.
    pub value: Bytes,
    /// What the bytes are.
    pub content: Content,
    /// How long it lives, counted from when the store takes it.
    pub lifetime: Lifetime,
    /// By what it is invalidated.
    pub tags: Tags,
    /// What the writer asked for.
    pub options: EntryOptions,
    /// How long it took to load; early refresh weighs it.
    pub load_cost: Duration,
}

impl NewEntry {
    /// Creates an entry of raw bytes.
    pub fn new(value: impl Into<Bytes>, lifetime: Lifetime) -> Self {
        let value = value.into();
        let content = Content { plain_len: value.len() as u64, ..Content::default() };
        Self { value, content, lifetime, tags: Tags::NONE, options: EntryOptions::default(), load_cost: Duration::ZERO }
    }

    /// Creates a record that the source has no such key.
    pub fn negative(lifetime: Lifetime) -> Self {
        let mut entry = Self::new(Bytes::new(), lifetime);
        entry.content.negative = true;
        entry
    }

    /// Replaces the tags.
    #[must_use]
    pub fn with_tags(mut self, tags: Tags) -> Self {
        self.tags = tags;
        self
    }

    /// Turns it into the entry that a store keeps from `now` on.
    pub fn into_entry(self, now: Tick, version: Version, sequence: Sequence) -> Entry {
        let hard_until = self.lifetime.ttl().map_or(Tick::NEVER, |ttl| now.after(ttl));
        let fresh_until = self.lifetime.sliding().map_or(hard_until, |window| now.after(window).min(hard_until));
        let meta = Meta {
            version,
            sequence,
            written_at: now,
            confirmed_at: now,
            fresh_until,
            hard_until,
            stale_for: self.lifetime.stale_for(),
            sliding: self.lifetime.sliding(),
            load_cost: self.load_cost,
            content: self.content,
            tags: self.tags,
        };
        Entry { value: self.value, meta }
    }
}

impl fmt::Debug for NewEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewEntry")
            .field("len", &self.value.len())
            .field("content", &self.content)
            .field("lifetime", &self.lifetime)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// What a store knows about an entry. Its ticks are of the stack's clock; stores that share entries between machines
/// turn them into remaining time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// Which write this is.
    pub version: Version,
    /// The space's sequence when the value's load began: a tag or clear above it hides the entry.
    pub sequence: Sequence,
    /// When it was written.
    pub written_at: Tick,
    /// When its authority last vouched for it; a copy keeps what the original had.
    pub confirmed_at: Tick,
    /// Until when it is fresh; a sliding entry's hits move it, never past `hard_until`.
    pub fresh_until: Tick,
    /// What `fresh_until` never passes.
    pub hard_until: Tick,
    /// For how long after `fresh_until` it may be served stale.
    pub stale_for: Duration,
    /// The idle window of a sliding entry.
    pub sliding: Option<Duration>,
    /// How long the value took to load.
    pub load_cost: Duration,
    /// What the bytes are.
    pub content: Content,
    /// By what it is invalidated.
    pub tags: Tags,
}

/// A stored value with what is known about it.
#[derive(Clone)]
pub struct Entry {
    /// The value's bytes.
    pub value: Bytes,
    /// What is known about them.
    pub meta: Meta,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("len", &self.value.len()).field("meta", &self.meta).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_are_stable_and_differ() {
        assert_eq!(Schema::new("product", 1), Schema(0x6505_bb42_71cf_3f5f));
        assert_ne!(Schema::new("product", 1), Schema::new("product", 2));
        assert_ne!(Schema::new("product", 1), Schema::new("produce", 1));
    }

    #[test]
    fn tags_are_sorted_unique_and_bounded() {
        let tag = |n: usize| Tag::new(format!("t{n:03}")).unwrap();
        let tags = Tags::new([tag(2), tag(1), tag(2)]).unwrap();
        assert_eq!(tags.as_slice(), [tag(1), tag(2)]);
        assert!(Tags::new((0..MAX_TAGS).map(tag)).is_ok());
        let error = Tags::new((0..=MAX_TAGS).map(tag)).unwrap_err();
        assert_eq!(error.to_string(), "tags must be at most 32, but at least 33 was given");
        assert!(Tags::new([]).unwrap().is_empty());
    }

    #[test]
    fn debug_shows_no_value() {
        let entry = NewEntry::new("secret", Lifetime::default());
        assert!(!format!("{entry:?}").contains("secret"));
        assert!(!format!("{:?}", entry.into_entry(Tick::default(), Version(1), Sequence(0))).contains("secret"));
    }
}
