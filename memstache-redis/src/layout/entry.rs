//! Entries into bytes and back.

use std::time::Duration;

use bytes::Bytes;
use memstache_core::{Entry, NewEntry, Result, Sequence, Tags, Tick, Version, envelope};

use super::head::{self, Head};

/// Bytes in front of what a write sends: the script puts the head there, up to the tags.
pub(crate) const ROOM: usize = head::LEN - 2;

/// What a write sends of an entry: room for its head, its tags with their length, then the envelope without them.
pub(crate) fn payload(entry: NewEntry) -> Bytes {
    let tags = entry.tags.clone();
    let bare = NewEntry { tags: Tags::NONE, ..entry };
    // Version, sequence and times are the head's: the script knows them.
    let tick = Tick::from_millis(0);
    let envelope = envelope::encode(&bare.into_entry(tick, Version(0), Sequence(0)), tick);
    let mut out = Vec::with_capacity(ROOM + head::tags_len(&tags) + envelope.len());
    out.resize(ROOM, 0);
    head::put_tags(&tags, &mut out);
    out.extend_from_slice(&envelope);
    out.into()
}

/// Values up to this length are copied out of what came with them, so that keeping one does not keep all of that.
const COPIED: usize = 16 * 1024;

/// Reads what a read answered, in terms of the reader's clock.
///
/// `server` is the server's time in ms when it looked, `now` a tick not after that: what is fresh by these ticks is fresh
/// on the server.
pub(crate) fn decode(head: &Head, envelope: Bytes, server: u64, now: Tick) -> Result<Entry> {
    let envelope = if envelope.len() <= COPIED { Bytes::copy_from_slice(&envelope) } else { envelope };
    let mut entry = envelope::decode(envelope, now).map_err(|error| error.with_version(head.version))?;
    let at = |millis: u64| {
        let ahead = Duration::from_millis(millis.saturating_sub(server));
        if millis >= server { now.after(ahead) } else { now.before(Duration::from_millis(server - millis)) }
    };
    let meta = &mut entry.meta;
    meta.version = head.version;
    meta.sequence = head.sequence;
    meta.written_at = at(head.written);
    meta.fresh_until = at(head.fresh_until);
    meta.hard_until = at(head.hard_until);
    meta.confirmed_at = now.min(meta.fresh_until);
    meta.stale_for = Duration::from_millis(head.grace);
    meta.sliding = (head.sliding > 0).then(|| Duration::from_millis(head.sliding));
    meta.tags = head.tags.clone();
    Ok(entry)
}

#[cfg(test)]
mod tests {
    use memstache_core::{ErrorKind, FormatId, LeaseId, Lifetime, Tag};

    use super::*;

    #[test]
    fn an_entry_comes_back_in_the_readers_time() {
        let tags = Tags::new([Tag::new("red").unwrap()]).unwrap();
        let mut new = NewEntry::new("tea", Lifetime::new(Duration::from_secs(5)).unwrap()).with_tags(tags.clone());
        new.content.format = FormatId::JSON;
        new.load_cost = Duration::from_millis(7);
        let head = Head {
            present: true,
            negative: false,
            version: Version(9),
            written: 1_000,
            fresh_until: 6_000,
            hard_until: 8_000,
            grace: 2_000,
            sliding: 5_000,
            sequence: Sequence(3),
            filled_by: LeaseId(0),
            tags: tags.clone(),
        };
        let mut stored = head::tests::write(&head);
        stored.truncate(ROOM);
        let payload = payload(new);
        assert_eq!(
            Head::parse(payload.clone()).unwrap_err().kind(),
            ErrorKind::Unsupported,
            "without a head it is nothing"
        );
        stored.extend_from_slice(&payload[ROOM..]);
        let (parsed, envelope) = Head::parse(stored.into()).unwrap();
        assert_eq!(parsed, head);

        let entry = decode(&parsed, envelope.clone(), 4_000, Tick::from_millis(100_000)).unwrap();
        let meta = entry.meta;
        assert_eq!((&entry.value[..], meta.version, meta.sequence), (&b"tea"[..], Version(9), Sequence(3)));
        assert_eq!(meta.written_at, Tick::from_millis(97_000));
        assert_eq!(meta.fresh_until, Tick::from_millis(102_000));
        assert_eq!(meta.hard_until, Tick::from_millis(104_000));
        assert_eq!(meta.confirmed_at, Tick::from_millis(100_000));
        assert_eq!((meta.stale_for, meta.sliding), (Duration::from_secs(2), Some(Duration::from_secs(5))));
        assert_eq!((meta.load_cost, meta.content.format, meta.tags), (Duration::from_millis(7), FormatId::JSON, tags));

        let stale = decode(&parsed, envelope, 7_000, Tick::from_millis(100_000)).unwrap();
        assert_eq!(stale.meta.fresh_until, Tick::from_millis(99_000));
        assert_eq!(stale.meta.confirmed_at, Tick::from_millis(99_000), "confirmed when its freshness ended");
    }

    #[test]
    fn what_cannot_be_read_says_which_version_it_is() {
        let (head, _) = Head::parse(head_only()).unwrap();
        let error = decode(&head, Bytes::from("nonsense"), 0, Tick::from_millis(1)).unwrap_err();
        assert_eq!((error.kind(), error.version()), (ErrorKind::Rejected, Some(Version(4))));
    }

    fn head_only() -> Bytes {
        let mut stored = vec![1, 1];
        for number in [4u64, 0, 0, 0, 0, 0, 0, 0] {
            stored.extend_from_slice(&number.to_be_bytes());
        }
        stored.extend_from_slice(&[0, 0]);
        stored.into()
    }
}
