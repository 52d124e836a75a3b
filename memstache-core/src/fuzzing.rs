//! What the fuzz targets run, also run by a normal test over their corpora.

use bytes::Bytes;

use crate::{Tick, envelope, record::layout};

/// Decodes an envelope; what is accepted must survive being written again. Returns whether it was.
pub fn envelope(data: &[u8]) -> bool {
    const NOW: Tick = Tick::from_millis(1 << 41);
    let Ok(entry) = envelope::decode(Bytes::copy_from_slice(data), NOW) else { return false };
    assert!(entry.meta.fresh_until <= entry.meta.hard_until, "fresh past its deadline");
    let again = envelope::decode(envelope::encode(&entry, NOW), NOW).expect("what was written is read");
    assert_eq!((again.value, again.meta), (entry.value, entry.meta));
    true
}

/// Decodes a file of a record store; what is accepted must be written alike. Returns whether it was.
///
/// Tries the same with the checksum put right, which no fuzzer guesses.
pub fn record_file(data: &[u8]) -> bool {
    decode_file(&layout::with_checksum(data));
    decode_file(&Bytes::copy_from_slice(data))
}

fn decode_file(bytes: &Bytes) -> bool {
    if let Ok((key, record)) = layout::decode_record(bytes) {
        assert_eq!(layout::encode_record(&key, &record), bytes);
        return true;
    }
    let Ok(sequence) = layout::decode_sequence(bytes) else { return false };
    assert_eq!(layout::encode_sequence(sequence), bytes);
    true
}
