//! The names of keys.

use bytes::{BufMut, Bytes, BytesMut};
use memstache_core::{Error, Result};

/// Longest prefix, in bytes.
pub(crate) const MAX_PREFIX: usize = 32;

/// Makes the names of keys: `<prefix><kind>{<four hex digits>}<stored key>`.
///
/// All keys of an entry have the same digits in front, and so have the keys of a tenant's line: each family lies in one
/// slot of a Cluster. The tag is ours, so names may contain braces. The kind comes first so that listeners can ask for
/// a kind by prefix:
///
/// | kind | what |
/// | --- | --- |
/// | `v` | an entry: head, tags, envelope |
/// | `l` | the lease on an entry |
/// | `s` | the line of a tenant: sequence and floors |
/// | `m` | what plain reads need of a tenant's line |
/// | `n` | and of one of its spaces |
/// | `t`, `u` | the younger and the older invalidated tags of a tenant |
/// | `i` | there for a moment: an invalidation, told by the key's name |
/// | `w` | there for a moment: a lease ended that somebody waits for |
/// | `c` | there for a moment: proves that listeners hear |
/// | `r` | a record, or what all of them share |
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    prefix: Bytes,
    /// Whether keys carry hash tags; only the tests that show what they are for leave them out.
    tagged: bool,
}

impl Keys {
    /// Checks a prefix: 1 to 32 bytes of `[A-Za-z0-9._:-]`.
    pub(crate) fn new(prefix: &str) -> Result<Self> {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b':');
        if prefix.is_empty() || prefix.len() > MAX_PREFIX {
            let limit = format_args!("1 to {MAX_PREFIX} bytes long");
            return Err(Error::invalid("prefix", limit, format_args!("{} bytes", prefix.len())));
        }
        if let Some(at) = prefix.bytes().position(|byte| !good(byte)) {
            let given = format_args!("another character at byte {at}");
            return Err(Error::invalid("prefix", "made of A-Z a-z 0-9 . _ : -", given));
        }
        Ok(Self { prefix: Bytes::copy_from_slice(prefix.as_bytes()), tagged: true })
    }

    #[cfg(test)]
    pub(crate) fn without_tags(mut self) -> Self {
        self.tagged = false;
        self
    }

    /// Returns the length of the prefix: the kind stands right behind it.
    pub(crate) fn prefix_len(&self) -> usize {
        self.prefix.len()
    }

    /// Returns what all keys of a kind begin with.
    pub(crate) fn of_kind(&self, kind: u8) -> Bytes {
        let mut key = BytesMut::with_capacity(self.prefix.len() + 1);
        key.put_slice(&self.prefix);
        key.put_u8(kind);
        key.freeze()
    }

    /// Returns the key of an entry's value, in a buffer that has room for so many like it.
    pub(crate) fn value(&self, stored: &[u8], room: &mut BytesMut, many: usize) -> Bytes {
        let len = self.prefix.len() + 7 + stored.len();
        if room.capacity() < len {
            room.reserve(len * many.max(1));
        }
        self.put(room, b'v', tag_of(stored), stored);
        room.split().freeze()
    }

    /// Returns the key of the lease that goes with that of a value.
    pub(crate) fn lease_of(&self, value: &Bytes) -> Bytes {
        let mut key = BytesMut::from(&value[..]);
        key[self.prefix.len()] = b'l';
        key.freeze()
    }

    /// Returns the keys of an entry.
    #[cfg(test)]
    pub(crate) fn entry(&self, stored: &[u8]) -> EntryKeys {
        let value = self.value(stored, &mut BytesMut::new(), 1);
        EntryKeys { lease: self.lease_of(&value), value }
    }

    /// Returns the keys of a tenant's line; an empty name for the shared space.
    pub(crate) fn tenant(&self, tenant: &str) -> TenantKeys {
        let tag = tag_of(tenant.as_bytes());
        TenantKeys {
            line: self.key(b's', tag, tenant.as_bytes()),
            young: self.key(b't', tag, tenant.as_bytes()),
            old: self.key(b'u', tag, tenant.as_bytes()),
            marker: self.key(b'i', tag, b""),
            extract: self.key(b'm', tag, tenant.as_bytes()),
        }
    }

    /// Returns the key of what plain reads need of one space of a tenant.
    pub(crate) fn space(&self, tenant: &str, space: &str) -> Bytes {
        self.key(b'n', tag_of(tenant.as_bytes()), &[tenant.as_bytes(), b":", space.as_bytes()].concat())
    }

    /// Returns a canary's key, in the slot of its hash tag.
    pub(crate) fn canary(&self, tag: &str, nonce: u64) -> Bytes {
        Bytes::from([&self.of_kind(b'c')[..], format!("{{{tag}}}{nonce:016x}").as_bytes()].concat())
    }

    /// Reads the nonce of a canary's key.
    pub(crate) fn canary_nonce(&self, key: &[u8]) -> Option<u64> {
        let rest = key.strip_prefix(&self.prefix[..])?.strip_prefix(b"c{")?;
        let digits = std::str::from_utf8(rest.get(rest.len().checked_sub(16)?..)?).ok()?;
        u64::from_str_radix(digits, 16).ok()
    }

    /// Returns a key of a record, all of which share one slot.
    pub(crate) fn record(&self, rest: &[u8]) -> Bytes {
        self.key(b'r', tag_of(b""), rest)
    }

    /// Returns the kind of a key and what stands behind its tag; `None` for keys of somebody else.
    pub(crate) fn parse(&self, key: &Bytes) -> Option<(u8, Bytes)> {
        let rest = key.strip_prefix(&self.prefix[..])?;
        let (kind, rest) = rest.split_first()?;
        let at = if self.tagged {
            let closed = rest.first() == Some(&b'{') && rest.get(5) == Some(&b'}');
            closed.then_some(self.prefix.len() + 7)?
        } else {
            self.prefix.len() + 1
        };
        Some((*kind, key.slice(at..)))
    }

    fn key(&self, kind: u8, tag: u16, rest: &[u8]) -> Bytes {
        let mut key = BytesMut::with_capacity(self.prefix.len() + 7 + rest.len());
        self.put(&mut key, kind, tag, rest);
        key.freeze()
    }

    fn put(&self, key: &mut BytesMut, kind: u8, tag: u16, rest: &[u8]) {
        key.put_slice(&self.prefix);
        key.put_u8(kind);
        if self.tagged {
            let digit = |shift: u16| b"0123456789abcdef"[usize::from(tag >> shift & 15)];
            key.put_slice(&[b'{', digit(12), digit(8), digit(4), digit(0), b'}']);
        }
        key.put_slice(rest);
    }
}

/// The keys of one entry.
#[cfg(test)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EntryKeys {
    pub(crate) value: Bytes,
    pub(crate) lease: Bytes,
}

/// The keys of one tenant's line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TenantKeys {
    pub(crate) line: Bytes,
    pub(crate) young: Bytes,
    pub(crate) old: Bytes,
    /// What the names of its markers begin with.
    pub(crate) marker: Bytes,
    /// What plain reads need of the line.
    pub(crate) extract: Bytes,
}

/// The same on every machine and in every release (FNV-1a, 64 bits, folded).
fn tag_of(bytes: &[u8]) -> u16 {
    let hash = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3));
    (hash ^ (hash >> 16) ^ (hash >> 32) ^ (hash >> 48)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::slot_of;

    fn keys() -> Keys {
        Keys::new("ms:").unwrap()
    }

    #[test]
    fn names_never_change() {
        let entry = keys().entry(b"acme:items:7");
        assert_eq!(entry.value, "ms:v{a22b}acme:items:7");
        assert_eq!(entry.lease, "ms:l{a22b}acme:items:7");
        assert_eq!(keys().tenant("acme").line, "ms:s{fe5e}acme");
    }

    #[test]
    fn keys_share_a_buffer_and_are_their_own() {
        let (keys, mut room) = (keys(), BytesMut::new());
        let names: Vec<_> = (0..100).map(|at| "x".repeat(at)).collect();
        let many: Vec<_> = names.iter().map(|name| keys.value(name.as_bytes(), &mut room, 10)).collect();
        for (name, value) in names.iter().zip(many) {
            assert_eq!(value, keys.entry(name.as_bytes()).value);
        }
    }

    #[test]
    fn an_entry_lies_in_one_slot_whatever_its_name() {
        for stored in [&b"t:k:a"[..], b"t:k:{a}b", b"}", b"{}", b"{", b":k:}{", b"\xff\0{x}"] {
            let entry = keys().entry(stored);
            assert_eq!(slot_of(&entry.value), slot_of(&entry.lease), "{stored:?}");
            assert_eq!(keys().parse(&entry.value), Some((b'v', Bytes::copy_from_slice(stored))));
        }
        // What the tag is for: without it a name decides by itself, or not at all.
        let bare = keys().without_tags().entry(b"t:k:a");
        assert_ne!(slot_of(&bare.value), slot_of(&bare.lease));
    }

    #[test]
    fn a_line_lies_in_one_slot() {
        let tenant = keys().tenant("acme");
        let marker = Bytes::from([&tenant.marker[..], b"17:t:acme:items:{x}"].concat());
        for key in [&tenant.young, &tenant.old, &marker, &tenant.extract, &keys().space("acme", "items")] {
            assert_eq!(slot_of(key), slot_of(&tenant.line));
        }
    }

    #[test]
    fn entries_are_spread() {
        let slots: std::collections::HashSet<_> =
            (0..1000).map(|n| slot_of(&keys().entry(format!("t:k:{n}").as_bytes()).value)).collect();
        assert!(slots.len() > 900, "{} slots for a thousand entries", slots.len());
    }

    #[test]
    fn prefixes_are_checked() {
        let message = |prefix: &str| Keys::new(prefix).unwrap_err().to_string();
        assert_eq!(message(""), "prefix must be 1 to 32 bytes long, but 0 bytes was given");
        assert_eq!(message(&"x".repeat(33)), "prefix must be 1 to 32 bytes long, but 33 bytes was given");
        assert_eq!(
            message("a{b"),
            "prefix must be made of A-Z a-z 0-9 . _ : -, but another character at byte 1 was given"
        );
    }

    #[test]
    fn canaries_return_with_their_nonce() {
        for tag in ["0", "1a2b3c"] {
            let key = keys().canary(tag, 0xfeed);
            assert_eq!(keys().canary_nonce(&key), Some(0xfeed));
            assert_eq!(slot_of(&key), slot_of(tag.as_bytes()));
        }
        for key in ["ms:c{0}", "ms:v{0}000000000000feed", "ms:c{0}zzzzzzzzzzzzzzzz"] {
            assert_eq!(keys().canary_nonce(key.as_bytes()), None, "{key}");
        }
    }

    #[test]
    fn foreign_keys_are_nobodys() {
        for key in ["", "ms", "ms:", "other:v{0000}x", "ms:v{000}x", "ms:v0000x"] {
            assert_eq!(keys().parse(&Bytes::from(key)), None, "{key}");
        }
    }
}
