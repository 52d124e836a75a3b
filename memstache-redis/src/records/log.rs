//! The log of changes: one entry of a stream for each.

use bytes::Bytes;
use memstache_core::{Record, RecordEvent, RecordKey};

use crate::client::Reply;

/// A change as the log has it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) sequence: u64,
    /// The change before: another than the last that was seen means that some were missed.
    pub(super) previous: u64,
    pub(super) event: RecordEvent,
}

impl Change {
    /// Reads an entry: its id `<sequence>-0`, and the fields `p` previous, `w` what, `n` name, `v` value.
    pub(super) fn parse(entry: Reply) -> Option<Self> {
        let mut entry = entry.into_array()?.into_iter();
        let (id, fields) = (entry.next()?.into_bytes()?, entry.next()?.into_array()?);
        let sequence = std::str::from_utf8(&id).ok()?.strip_suffix("-0")?.parse().ok()?;
        let fields: Vec<Bytes> = fields.into_iter().map(Reply::into_bytes).collect::<Option<_>>()?;
        let field = |name: &[u8]| fields.chunks_exact(2).find(|pair| pair[0] == name).map(|pair| pair[1].clone());
        let previous = std::str::from_utf8(&field(b"p")?).ok()?.parse().ok()?;
        let key = RecordKey::new(std::str::from_utf8(&field(b"n")?).ok()?).ok()?;
        let event = match &field(b"w")?[..] {
            b"p" => RecordEvent::Put { key, record: Record { value: field(b"v")?, sequence } },
            b"d" => RecordEvent::Removed { key, sequence },
            _ => return None,
        };
        Some(Self { sequence, previous, event })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: &'static str, fields: &[&'static str]) -> Reply {
        let fields = fields.iter().map(|field| Reply::Bytes((*field).into())).collect();
        Reply::Array(vec![Reply::Bytes(id.into()), Reply::Array(fields)])
    }

    #[test]
    fn puts_and_removals() {
        let key = RecordKey::new("a/1").unwrap();
        let put = Change::parse(entry("7-0", &["p", "5", "w", "p", "n", "a/1", "v", "tea"])).unwrap();
        let record = Record { value: "tea".into(), sequence: 7 };
        assert_eq!(put, Change { sequence: 7, previous: 5, event: RecordEvent::Put { key: key.clone(), record } });
        let removed = Change::parse(entry("8-0", &["p", "7", "w", "d", "n", "a/1", "v", ""])).unwrap();
        assert_eq!(removed.event, RecordEvent::Removed { key, sequence: 8 });
    }

    #[test]
    fn anything_else_is_none() {
        for entry in [
            Reply::Nil,
            entry("7-1", &["p", "5", "w", "p", "n", "a", "v", ""]),
            entry("7-0", &["p", "5", "w", "x", "n", "a", "v", ""]),
            entry("7-0", &["p", "5", "w", "p", "n", "//", "v", ""]),
            entry("7-0", &["w", "p", "n", "a", "v", ""]),
            entry("7-0", &["p", "5", "w", "p", "n", "a"]),
        ] {
            assert_eq!(Change::parse(entry.clone()), None, "{entry:?}");
        }
    }
}
