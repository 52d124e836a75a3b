//! What stands in front of every entry, where scripts can read and change it.

use bytes::{Buf, Bytes};
use memstache_core::{Error, ErrorKind, LeaseId, Result, Sequence, Tag, Tags, Version};

/// The layout that this release writes, and the only one that it reads.
const LAYOUT: u8 = 1;
/// Up to the tags.
pub(crate) const LEN: usize = 68;
const PRESENT: u8 = 1;
const NEGATIVE: u8 = 2;

/// The head of an entry. Points in time are of the server's clock.
///
/// ```text
///   1  layout 1
///   1  flags: 1 there is a value (else this is a tombstone), 2 the value records that there is none
///   8  version, µs
///   8  written, ms
///   8  fresh until, ms
///   8  hard deadline, ms
///   8  grace, ms
///   8  sliding window, ms; 0 for none
///   8  sequence
///   8  the lease that filled it; 0 for none
///   2  length of the tags
///   n  tags, each with its length (1) in front
///   n  the envelope, without tags
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) present: bool,
    pub(crate) negative: bool,
    pub(crate) version: Version,
    pub(crate) written: u64,
    pub(crate) fresh_until: u64,
    pub(crate) hard_until: u64,
    pub(crate) grace: u64,
    pub(crate) sliding: u64,
    pub(crate) sequence: Sequence,
    pub(crate) filled_by: LeaseId,
    pub(crate) tags: Tags,
}

/// What decides whether an invalidation hides an entry.
#[derive(Clone, Debug)]
pub(crate) struct Visible {
    pub(crate) version: Version,
    pub(crate) sequence: Sequence,
    pub(crate) tags: Tags,
}

impl Head {
    /// Reads a head and its tags, and leaves what follows them.
    pub(crate) fn parse(mut stored: Bytes) -> Result<(Self, Bytes)> {
        if stored.len() < LEN {
            return Err(damaged("too short"));
        }
        let fixed = &stored[..LEN];
        let (layout, flags) = (fixed[0], fixed[1]);
        if layout != LAYOUT {
            let detail = format!("the stored entry has layout {layout}, but this build reads {LAYOUT}");
            return Err(Error::new(ErrorKind::Unsupported, detail));
        }
        let number = |at: usize| u64::from_be_bytes(fixed[2 + 8 * at..][..8].try_into().expect("eight bytes"));
        let mut head = Self {
            present: flags & PRESENT != 0,
            negative: flags & NEGATIVE != 0,
            version: Version(number(0)),
            written: number(1),
            fresh_until: number(2),
            hard_until: number(3),
            grace: number(4),
            sliding: number(5),
            sequence: Sequence(number(6)),
            filled_by: LeaseId(number(7)),
            tags: Tags::NONE,
        };
        let len = usize::from(u16::from_be_bytes([fixed[LEN - 2], fixed[LEN - 1]]));
        stored.advance(LEN);
        if stored.len() < len {
            return Err(damaged("its tags are cut off"));
        }
        head.tags = tags(stored.split_to(len))?;
        Ok((head, stored))
    }

    pub(crate) fn visible(&self) -> Visible {
        Visible { version: self.version, sequence: self.sequence, tags: self.tags.clone() }
    }
}

/// Returns the flags of a value.
pub(crate) fn flags(negative: bool) -> u8 {
    if negative { PRESENT | NEGATIVE } else { PRESENT }
}

/// Writes tags as a head has them, with their length.
pub(crate) fn put_tags(tags: &Tags, out: &mut Vec<u8>) {
    let len: usize = tags.iter().map(|tag| 1 + tag.as_str().len()).sum();
    out.extend_from_slice(&u16::try_from(len).expect("32 tags of 128 bytes").to_be_bytes());
    for tag in tags {
        out.push(u8::try_from(tag.as_str().len()).expect("a tag of at most 128 bytes"));
        out.extend_from_slice(tag.as_str().as_bytes());
    }
}

pub(crate) fn tags_len(tags: &Tags) -> usize {
    2 + tags.iter().map(|tag| 1 + tag.as_str().len()).sum::<usize>()
}

fn tags(mut bytes: Bytes) -> Result<Tags> {
    if bytes.is_empty() {
        return Ok(Tags::NONE);
    }
    let mut tags = Vec::new();
    while bytes.has_remaining() {
        let len = usize::from(bytes.get_u8());
        if bytes.len() < len {
            return Err(damaged("a tag is cut off"));
        }
        let tag = bytes.split_to(len);
        let text = std::str::from_utf8(&tag).map_err(|_| damaged("a tag is no text"))?;
        tags.push(Tag::new(text).map_err(|_| damaged("a tag is none"))?);
    }
    Tags::new(tags).map_err(|_| damaged("it has too many tags"))
}

fn damaged(what: &str) -> Error {
    Error::new(ErrorKind::Rejected, format!("the stored entry is damaged: {what}"))
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn write(head: &Head) -> Vec<u8> {
        let mut out = vec![LAYOUT, u8::from(head.present) | (u8::from(head.negative) << 1)];
        for number in [
            head.version.0,
            head.written,
            head.fresh_until,
            head.hard_until,
            head.grace,
            head.sliding,
            head.sequence.0,
            head.filled_by.0,
        ] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        put_tags(&head.tags, &mut out);
        out
    }

    fn head() -> Head {
        Head {
            present: true,
            negative: false,
            version: Version(1),
            written: 2,
            fresh_until: 3,
            hard_until: 4,
            grace: 5,
            sliding: 6,
            sequence: Sequence(7),
            filled_by: LeaseId(8),
            tags: Tags::new(["a", "ü"].map(|tag| Tag::new(tag).unwrap())).unwrap(),
        }
    }

    #[test]
    fn comes_back_as_it_was() {
        let mut stored = write(&head());
        stored.extend_from_slice(b"rest");
        assert_eq!(Head::parse(stored.into()).unwrap(), (head(), Bytes::from("rest")));
    }

    #[test]
    fn a_newer_layout_is_unsupported_and_damage_is_rejected() {
        let kind = |stored: &[u8]| Head::parse(Bytes::copy_from_slice(stored)).unwrap_err().kind();
        let good = write(&head());
        let mut newer = good.clone();
        newer[0] = 2;
        assert_eq!(kind(&newer), ErrorKind::Unsupported);
        for len in 0..good.len() {
            assert_eq!(kind(&good[..len]), ErrorKind::Rejected, "{len} bytes");
        }
        let mut wrong = good;
        wrong[LEN] = 0;
        assert_eq!(kind(&wrong), ErrorKind::Rejected, "an empty tag");
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut stored = bytes;
            if let Some(first) = stored.first_mut() { *first = LAYOUT; }
            let _ = Head::parse(stored.into());
        }
    }
}
