//! What the files of a record store look like: pure functions, the bytes may be anything.

use bytes::{BufMut, Bytes, BytesMut};

use super::crc::crc32;
use crate::{
    error::{Error, ErrorKind, Result},
    record::{MAX_RECORD_KEY, Record, RecordKey},
};

const RECORD_MAGIC: [u8; 4] = *b"MSRC";
const SEQUENCE_MAGIC: [u8; 4] = *b"MSSQ";
const VERSION: u8 = 1;
const HEADER: usize = 18;
const CHECKSUM: usize = 4;

/// How long a sequence file is, in bytes.
pub(crate) const SEQUENCE_LEN: usize = 17;

/// How much longer a record file is than its value, at most.
pub(crate) const RECORD_OVERHEAD: usize = HEADER + MAX_RECORD_KEY + CHECKSUM;

/// Writes a record file.
// Layout, version 1, big-endian:
//
//    0   4  magic "MSRC"
//    4   1  version 1
//    5   1  length of the key, 1 to 200
//    6   8  sequence
//   14   4  length of the value
//   18   k  key: a file that was copied over another's name is found out
//        n  value
//        4  CRC-32 of everything before
pub(crate) fn encode_record(key: &RecordKey, record: &Record) -> Bytes {
    let key = key.as_str().as_bytes();
    let mut out = BytesMut::with_capacity(HEADER + key.len() + record.value.len() + CHECKSUM);
    out.put_slice(&RECORD_MAGIC);
    out.put_u8(VERSION);
    out.put_u8(u8::try_from(key.len()).expect("a key has at most 200 bytes"));
    out.put_u64(record.sequence);
    out.put_u32(u32::try_from(record.value.len()).expect("a value has at most 16 MiB"));
    out.put_slice(key);
    out.put_slice(&record.value);
    out.put_u32(crc32(&out));
    out.freeze()
}

/// Reads a record file; the value is a part of `bytes`.
///
/// Errors: [`Unsupported`](ErrorKind::Unsupported) for another version, else [`Rejected`](ErrorKind::Rejected).
pub(crate) fn decode_record(bytes: &Bytes) -> Result<(RecordKey, Record)> {
    let Some(header) = bytes.first_chunk::<HEADER>() else { return Err(damaged("record", "its header is cut short")) };
    check_opening("record", header, RECORD_MAGIC)?;
    let key_len = usize::from(header[5]);
    let sequence = number(&header[6..14]);
    let value_at = HEADER + key_len;
    // In 64 bits, where what the lengths claim cannot overflow.
    let len = (value_at + CHECKSUM) as u64 + number(&header[14..18]);
    if bytes.len() as u64 != len {
        return Err(damaged("record", format_args!("it should be {len} bytes long, but has {}", bytes.len())));
    }
    check_sum("record", bytes)?;
    let key = std::str::from_utf8(&bytes[HEADER..value_at]).ok().and_then(|key| RecordKey::new(key).ok());
    let key = key.ok_or_else(|| damaged("record", format_args!("the key at byte {HEADER} is none")))?;
    Ok((key, Record { value: bytes.slice(value_at..bytes.len() - CHECKSUM), sequence }))
}

/// Writes a sequence file.
// Layout, version 1, big-endian:
//
//    0   4  magic "MSSQ"
//    4   1  version 1
//    5   8  the last sequence that was given out
//   13   4  CRC-32 of everything before
pub(crate) fn encode_sequence(sequence: u64) -> Bytes {
    let mut out = BytesMut::with_capacity(SEQUENCE_LEN);
    out.put_slice(&SEQUENCE_MAGIC);
    out.put_u8(VERSION);
    out.put_u64(sequence);
    out.put_u32(crc32(&out));
    out.freeze()
}

/// Reads a sequence file.
///
/// Errors: [`Unsupported`](ErrorKind::Unsupported) for another version, else [`Rejected`](ErrorKind::Rejected).
pub(crate) fn decode_sequence(bytes: &[u8]) -> Result<u64> {
    let Ok(file) = <&[u8; SEQUENCE_LEN]>::try_from(bytes) else {
        let what = format_args!("it should be {SEQUENCE_LEN} bytes long, but has {}", bytes.len());
        return Err(damaged("sequence", what));
    };
    check_opening("sequence", file, SEQUENCE_MAGIC)?;
    check_sum("sequence", file)?;
    Ok(number(&file[5..13]))
}

fn check_opening(file: &str, bytes: &[u8], magic: [u8; 4]) -> Result<()> {
    if !bytes.starts_with(&magic) {
        return Err(damaged(file, "the magic at byte 0 is another"));
    }
    if bytes[4] != VERSION {
        let detail = format!("the {file} file has version {}, this build reads version {VERSION}", bytes[4]);
        return Err(Error::new(ErrorKind::Unsupported, detail));
    }
    Ok(())
}

fn check_sum(file: &str, bytes: &[u8]) -> Result<()> {
    let (body, sum) = bytes.split_at(bytes.len() - CHECKSUM);
    if number(sum) != u64::from(crc32(body)) {
        return Err(damaged(file, format_args!("the checksum at byte {} does not match", body.len())));
    }
    Ok(())
}

/// Appends the checksum that `body` should have: how a fuzzer gets past it.
#[cfg(any(test, fuzzing, feature = "test-util"))]
pub(crate) fn with_checksum(body: &[u8]) -> Bytes {
    [body, &crc32(body).to_be_bytes()].concat().into()
}

/// At most eight bytes, big-endian.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Says which kind of file it is and where it broke, never what is in it.
fn damaged(file: &str, what: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Rejected, format!("the {file} file is damaged: {what}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample() -> Bytes {
        let key = RecordKey::new("tenants/acme").unwrap();
        encode_record(&key, &Record { value: "tea".into(), sequence: 258 })
    }

    #[test]
    fn golden_bytes_never_change() {
        assert_eq!(
            format!("{:x}", sample()),
            "4d535243010c00000000000001020000000374656e616e74732f61636d6574656157debb56"
        );
        assert_eq!(format!("{:x}", encode_sequence(258)), "4d535351010000000000000102e9d42dd6");
    }

    #[test]
    fn errors_name_the_place() {
        let text = |bytes: &[u8]| decode_record(&Bytes::copy_from_slice(bytes)).unwrap_err().to_string();
        let good = sample();
        assert_eq!(text(&good[..10]), "the record file is damaged: its header is cut short");
        assert_eq!(text(&good[..30]), "the record file is damaged: it should be 37 bytes long, but has 30");
        let mut bad = good.to_vec();
        bad[32] ^= 1;
        assert_eq!(text(&bad), "the record file is damaged: the checksum at byte 33 does not match");
        bad[4] = 2;
        let error = decode_record(&bad.into()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert_eq!(error.to_string(), "the record file has version 2, this build reads version 1");
        let error = decode_sequence(b"MSSQ").unwrap_err().to_string();
        assert_eq!(error, "the sequence file is damaged: it should be 17 bytes long, but has 4");
    }

    #[test]
    fn no_changed_byte_and_no_truncation_goes_unseen() {
        let good = sample();
        for at in 0..good.len() {
            assert!(decode_record(&good.slice(..at)).is_err());
            for flip in 1..=255 {
                let mut bad = good.to_vec();
                bad[at] ^= flip;
                assert!(decode_record(&bad.into()).is_err(), "byte {at} flipped by {flip:#x}");
            }
        }
    }

    proptest! {
        #[test]
        fn round_trip(key in "[a-z]{1,9}(/[a-z.]{1,9}x){0,3}", value: Vec<u8>, sequence: u64) {
            let (key, record) = (RecordKey::new(key).unwrap(), Record { value: value.into(), sequence });
            prop_assert_eq!(decode_record(&encode_record(&key, &record)).unwrap(), (key, record));
            prop_assert_eq!(decode_sequence(&encode_sequence(sequence)).unwrap(), sequence);
        }

        #[test]
        fn any_bytes_are_a_file_or_an_error(tail: Vec<u8>) {
            for magic in [RECORD_MAGIC, SEQUENCE_MAGIC] {
                let bytes = Bytes::from([&magic, &[VERSION][..], &tail].concat());
                let _ = (decode_record(&bytes), decode_sequence(&bytes));
            }
        }
    }
}
