//! The bytes of a key record.
//!
//! One record holds all versions of one key, so that a change of several is one compare-and-set, and nobody can put an
//! older version back alone.

use bytes::{BufMut, Bytes, BytesMut};
use memstache_core::{Error, ErrorKind, Result};

use super::{
    line::{Fate, Line, MAX_VERSIONS, Version},
    owner::Purpose,
};
use crate::key::KeyId;

const MAGIC: [u8; 4] = *b"MSKR";
const VERSION: u8 = 1;
/// Longest wrapped key, in bytes: RSA-4096 gives 512, and a provider names itself.
pub(crate) const MAX_WRAPPED: usize = 1_024;
/// Bytes of a message authentication code.
pub(crate) const MAC: usize = 32;
/// Longest body, in bytes: with a code for each of 64 versions, less than what a record store takes by default.
const MAX_BODY: usize = 58 * 1024;

/// What a record says, before anybody checked that it may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyRecord {
    pub(crate) purpose: Purpose,
    /// Rises with every change: a lower one than before is an old record put back.
    pub(crate) seq: u64,
    /// The identity of the line, from the place where its record belongs.
    pub(crate) tag: [u8; 16],
    /// The branch key that wraps the versions; all zero in the branch's own record.
    pub(crate) parent: KeyId,
    pub(crate) line: Line,
}

/// A record with its authentication codes: of the parent, or of every live branch key.
#[derive(Debug)]
pub(crate) struct Authenticated {
    pub(crate) record: KeyRecord,
    /// What the codes are over.
    pub(crate) body: Bytes,
    pub(crate) macs: Vec<[u8; MAC]>,
}

// Layout, version 1, big-endian:
//
//    0   4  magic "MSKR"
//    4   1  version 1
//    5   1  purpose: 0 branch, 1 data, 2 name
//    6   8  seq
//   14  16  tag of the line
//   30  16  id of the parent; zero for a branch
//   46   1  how many versions, at most 64
//   47   v  versions, by rising number:
//               0   4  number            28   8  activate at, ms since 1970
//               4  16  id                36   1  fate: 0 live, 1 revoked, 2 retired
//              20   8  created at        37   8  when; 0 if live
//              45   2  length of the wrapped key, at most 1,024; 0 if and only if not live
//              47   w  wrapped key
//    …   1  how many codes follow, at most 64
//    …  32  HMAC-SHA256 over everything before the count, each
impl KeyRecord {
    /// Writes everything that the codes are over.
    ///
    /// Errors: [`TooLarge`](ErrorKind::TooLarge) for a record over 58 KiB, or a wrapped key over 1,024 bytes.
    pub(crate) fn body(&self) -> Result<Bytes> {
        let mut out = BytesMut::with_capacity(256);
        out.put_slice(&MAGIC);
        out.put_u8(VERSION);
        out.put_u8(self.purpose.to_byte());
        out.put_u64(self.seq);
        out.put_slice(&self.tag);
        out.put_slice(self.parent.as_bytes());
        let versions = self.line.versions();
        out.put_u8(u8::try_from(versions.len()).expect("at most 64 versions"));
        for version in versions {
            put_version(&mut out, version)?;
        }
        if out.len() > MAX_BODY {
            return Err(too_large("key record", MAX_BODY, out.len()));
        }
        Ok(out.freeze())
    }

    /// Reads a record. Nothing in it is to be believed before a code was checked.
    ///
    /// Errors: [`Unsupported`](ErrorKind::Unsupported) for a later version, else [`Rejected`](ErrorKind::Rejected).
    pub(crate) fn decode(bytes: &Bytes) -> Result<Authenticated> {
        let mut reader = Reader { bytes, at: 0 };
        if reader.array::<4>()? != MAGIC {
            return Err(damaged("the magic is another"));
        }
        let version = reader.u8()?;
        if version != VERSION {
            let detail = format!("the key record has version {version}, this build reads version {VERSION}");
            return Err(Error::new(ErrorKind::Unsupported, detail));
        }
        let purpose = Purpose::from_byte(reader.u8()?).ok_or_else(|| damaged("its purpose is unknown"))?;
        let (seq, tag) = (reader.u64()?, reader.array()?);
        let parent = KeyId::from_bytes(reader.array()?);
        let versions = reader.count()?;
        let versions = (0..versions).map(|_| reader.version()).collect::<Result<_>>()?;
        let line = Line::from_versions(versions).ok_or_else(|| damaged("its versions contradict each other"))?;
        if reader.at > MAX_BODY {
            return Err(damaged("it is longer than it can be"));
        }
        let body = bytes.slice(..reader.at);
        let macs = reader.count()?;
        let macs = (0..macs).map(|_| reader.array()).collect::<Result<_>>()?;
        if reader.at != bytes.len() {
            return Err(damaged("bytes follow its end"));
        }
        Ok(Authenticated { record: Self { purpose, seq, tag, parent, line }, body, macs })
    }
}

/// Puts the codes behind a body.
pub(crate) fn with_macs(body: &[u8], macs: &[[u8; MAC]]) -> Bytes {
    let mut out = BytesMut::with_capacity(body.len() + 1 + MAC * macs.len());
    out.put_slice(body);
    out.put_u8(u8::try_from(macs.len()).expect("at most one code for each of 64 versions"));
    macs.iter().for_each(|mac| out.put_slice(mac));
    out.freeze()
}

fn put_version(out: &mut BytesMut, version: &Version) -> Result<()> {
    let (fate, at) = match version.fate {
        Fate::Live => (0, 0),
        Fate::Revoked(at) => (1, at),
        Fate::Retired(at) => (2, at),
    };
    let len = version.wrapped.len();
    if len > MAX_WRAPPED {
        return Err(too_large("wrapped key", MAX_WRAPPED, len));
    }
    out.put_u32(version.number);
    out.put_slice(version.id.as_bytes());
    out.put_u64(version.created_at);
    out.put_u64(version.activate_at);
    out.put_u8(fate);
    out.put_u64(at);
    out.put_u16(u16::try_from(len).expect("at most 1,024"));
    out.put_slice(&version.wrapped);
    Ok(())
}

struct Reader<'a> {
    bytes: &'a Bytes,
    at: usize,
}

impl Reader<'_> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let rest = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<N>());
        let found = *rest.ok_or_else(|| damaged("it is cut short"))?;
        self.at += N;
        Ok(found)
    }

    fn u8(&mut self) -> Result<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// A count of versions or codes.
    fn count(&mut self) -> Result<usize> {
        let count = usize::from(self.u8()?);
        if count > MAX_VERSIONS { Err(damaged("it claims more than 64 versions")) } else { Ok(count) }
    }

    fn version(&mut self) -> Result<Version> {
        let number = u32::from_be_bytes(self.array()?);
        let id = KeyId::from_bytes(self.array()?);
        let (created_at, activate_at) = (self.u64()?, self.u64()?);
        let fate = match (self.u8()?, self.u64()?) {
            (0, 0) => Fate::Live,
            (1, at) => Fate::Revoked(at),
            (2, at) => Fate::Retired(at),
            _ => return Err(damaged("a version's fate is unknown")),
        };
        let len = usize::from(u16::from_be_bytes(self.array()?));
        if len > MAX_WRAPPED || len > self.bytes.len() - self.at {
            return Err(damaged("a wrapped key is longer than it can be"));
        }
        let wrapped = self.bytes.slice(self.at..self.at + len);
        self.at += len;
        Ok(Version { number, id, created_at, activate_at, fate, wrapped })
    }
}

/// Says what kind of damage it is, never what is in the record.
pub(crate) fn damaged(what: &str) -> Error {
    Error::new(ErrorKind::Rejected, format!("the key record is damaged: {what}"))
}

fn too_large(what: &str, limit: usize, len: usize) -> Error {
    let detail = format!("{what} must be at most {limit} bytes long, but {len} bytes was given");
    Error::new(ErrorKind::TooLarge, detail)
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;
    use proptest::prelude::*;

    use super::*;
    use crate::{key::Secret, keyring::branch::BranchKey};

    /// Made by another program, from the layout and RFC 5869 and RFC 2104; never made anew.
    const GOLDEN: &str = "4d534b5201010000000000000102030303030303030303030303030303037bdb4ef658468ef8aae3cd8c040b \
595103000000010101010101010101010101010101010100000000000003e800000000000003e80200000000 \
000023280000000000020202020202020202020202020202020200000000000007d00000000000000bb80100 \
00000000000dac000000000005050505050505050505050505050505050000000000000dac0000000000000d \
ac00000000000000000000077772617070656401d5218b23b287ff7b59507c05c4935c8cecd0ec881c3469c5 \
547bf4d1c03a3529";

    fn version(number: u32, at: u64, activate_at: u64, fate: Fate) -> Version {
        let wrapped = if fate == Fate::Live { Bytes::from_static(b"wrapped") } else { Bytes::new() };
        let id = KeyId::from_bytes([u8::try_from(number).unwrap(); 16]);
        Version { number, id, created_at: at, activate_at, fate, wrapped }
    }

    fn sample(parent: KeyId) -> KeyRecord {
        let versions = vec![
            version(1, 1_000, 1_000, Fate::Retired(9_000)),
            version(2, 2_000, 3_000, Fate::Revoked(3_500)),
            version(5, 3_500, 3_500, Fate::Live),
        ];
        let line = Line::from_versions(versions).unwrap();
        KeyRecord { purpose: Purpose::Data, seq: 258, tag: [3; 16], parent, line }
    }

    fn branch() -> BranchKey {
        BranchKey::new(Secret::from_bytes([7; 32]))
    }

    fn encoded() -> Bytes {
        let body = sample(branch().id()).body().unwrap();
        with_macs(&body, &[branch().mac(&body)])
    }

    #[test]
    fn golden_bytes_never_change() {
        assert_eq!(HEXLOWER.encode(&encoded()), GOLDEN.replace(char::is_whitespace, ""));
        let read = KeyRecord::decode(&encoded()).unwrap();
        assert_eq!(read.record, sample(branch().id()));
        assert!(branch().verifies(&read.body, &read.macs[0]));
    }

    #[test]
    fn errors_name_the_damage() {
        let good = encoded();
        let text = |bytes: Vec<u8>| KeyRecord::decode(&bytes.into()).unwrap_err().to_string();
        let with = |at: usize, byte: u8| {
            let mut bytes = good.to_vec();
            bytes[at] = byte;
            text(bytes)
        };
        let damaged = |what: &str| format!("the key record is damaged: {what}");
        assert_eq!(text(Vec::new()), damaged("it is cut short"));
        assert_eq!(with(0, 0), damaged("the magic is another"));
        assert_eq!(with(4, 2), "the key record has version 2, this build reads version 1");
        assert_eq!(with(5, 3), damaged("its purpose is unknown"));
        assert_eq!(with(46, 65), damaged("it claims more than 64 versions"));
        assert_eq!(with(47 + 3, 9), damaged("its versions contradict each other"));
        assert_eq!(with(47 + 36, 3), damaged("a version's fate is unknown"));
        assert_eq!(with(47 + 45, 255), damaged("a wrapped key is longer than it can be"));
        assert_eq!(text([&good[..], b"x"].concat()), damaged("bytes follow its end"));
    }

    #[test]
    fn no_truncation_goes_unseen_and_no_flip_is_vouched_for() {
        let good = encoded();
        for at in 0..good.len() {
            assert!(KeyRecord::decode(&good.slice(..at)).is_err(), "cut at {at}");
            for bit in 0..8 {
                let mut bad = good.to_vec();
                bad[at] ^= 1 << bit;
                if let Ok(read) = KeyRecord::decode(&bad.into()) {
                    let vouched = read.macs.iter().any(|mac| branch().verifies(&read.body, mac));
                    assert!(!vouched, "byte {at} bit {bit}");
                }
            }
        }
    }

    #[test]
    fn what_no_store_would_take_is_not_written() {
        let mut record = sample(branch().id());
        let wrapped = Version { wrapped: vec![0; MAX_WRAPPED + 1].into(), ..version(5, 0, 0, Fate::Live) };
        record.line = Line::from_versions(vec![wrapped]).unwrap();
        let error = record.body().unwrap_err();
        let message = "wrapped key must be at most 1024 bytes long, but 1025 bytes was given";
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::TooLarge, message));
        let long = |number| Version { wrapped: vec![0; MAX_WRAPPED].into(), ..version(number, 0, 0, Fate::Live) };
        record.line = Line::from_versions((1..=64).map(long).collect()).unwrap();
        assert_eq!(record.body().unwrap_err().kind(), ErrorKind::TooLarge);
    }

    fn any_version() -> impl Strategy<Value = Version> {
        let fate =
            prop_oneof![Just(Fate::Live), any::<u64>().prop_map(Fate::Revoked), any::<u64>().prop_map(Fate::Retired)];
        (any::<[u8; 16]>(), any::<u64>(), any::<u64>(), fate, prop::collection::vec(any::<u8>(), 1..100)).prop_map(
            |(id, created_at, activate_at, fate, wrapped)| Version {
                number: 0,
                id: KeyId::from_bytes(id),
                created_at,
                activate_at,
                fate,
                wrapped: if fate == Fate::Live { wrapped.into() } else { Bytes::new() },
            },
        )
    }

    proptest! {
        #[test]
        fn round_trip(versions in prop::collection::vec(any_version(), 0..64), seq: u64, tag: [u8; 16], macs: Vec<[u8; 32]>) {
            let mut line = Line::default();
            for version in versions {
                line.add(version).unwrap();
            }
            prop_assume!(Line::from_versions(line.versions().to_vec()).is_some());
            let parent = KeyId::from_bytes([1; 16]);
            let record = KeyRecord { purpose: Purpose::Name, seq, tag, parent, line };
            let macs = &macs[..macs.len().min(64)];
            let read = KeyRecord::decode(&with_macs(&record.body().unwrap(), macs)).unwrap();
            prop_assert_eq!((&read.record, &read.macs[..]), (&record, macs));
        }

        #[test]
        fn any_bytes_are_a_record_or_an_error(tail: Vec<u8>) {
            let bytes = Bytes::from([&MAGIC[..], &[VERSION, 1], &tail].concat());
            let _ = KeyRecord::decode(&bytes);
        }
    }
}
