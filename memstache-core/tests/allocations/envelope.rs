//! What the envelope allocates: once to write, never to read without tags.

use std::time::Duration;

use memstache_core::{Lifetime, NewEntry, Sequence, Tag, Tags, Tick, Version, envelope};

use super::counted;

const NOW: Tick = Tick::from_millis(1 << 41);

#[test]
fn one_to_write_none_to_read() {
    let lifetime = Lifetime::new(Duration::from_secs(300)).unwrap();
    let entry = NewEntry::new(vec![7; 4_000], lifetime).into_entry(NOW, Version(1), Sequence(1));
    let (stored, (times, bytes)) = counted(|| envelope::encode(&entry, NOW));
    assert_eq!((times, bytes), (1, stored.len()));
    let (read, (times, _)) = counted(|| envelope::decode(stored, NOW));
    assert_eq!(times, 0);
    assert_eq!(read.unwrap().value.len(), 4_000);
}

#[test]
fn tags_are_written_in_the_same_allocation() {
    let tags = Tags::new((0..32).map(|n| Tag::new(format!("shop:{n}")).unwrap())).unwrap();
    let entry = NewEntry::new("tea", Lifetime::UNLIMITED).with_tags(tags).into_entry(NOW, Version(1), Sequence(1));
    let (stored, (times, bytes)) = counted(|| envelope::encode(&entry, NOW));
    assert_eq!((times, bytes), (1, stored.len()));
}

#[test]
fn lengths_that_lie_allocate_next_to_nothing() {
    // 32 tags of 255 bytes each, none of which is there.
    let bytes = bytes::Bytes::from_static(b"\xe5\x01\x01\x00\xd0\0\0\0\0\0\0\0\0\x20\xff");
    let (read, (_, allocated)) = counted(|| envelope::decode(bytes, NOW));
    assert!(read.is_err());
    assert!(allocated < 200, "{allocated} bytes for an error");
}
