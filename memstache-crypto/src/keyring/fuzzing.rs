//! What the fuzz target of key records runs.

use bytes::Bytes;

use super::{
    branch::BranchKey,
    line::KeyState,
    record::{Authenticated, KeyRecord, with_macs},
};
use crate::{
    key::{KeyId, Secret},
    provider::WrappedKey,
};

/// The tag of the line that the records are for.
const TAG: [u8; 16] = [3; 16];

/// Reads bytes as a key record, looks at its versions at several moments, and opens what it wraps if its code is right.
/// Returns whether they are laid out as a record.
///
/// # Panics
/// When what was read is written otherwise, or two versions are active.
pub(crate) fn key_record(data: &[u8]) -> bool {
    let branch = BranchKey::new(Secret::from_bytes([7; 32]));
    let Ok(Authenticated { record, body, macs }) = KeyRecord::decode(&Bytes::copy_from_slice(data)) else {
        return false;
    };
    assert_eq!(record.body().expect("what was read is not too long to be written"), body, "one text for one record");
    assert_eq!(with_macs(&body, &macs), data, "one text for one record");
    for now in [0, 1_000, 3_500, u64::MAX] {
        let states = record.line.versions().iter().map(|version| record.line.state(version.id, now));
        assert!(states.filter(|state| *state == Some(KeyState::Active)).count() <= 1, "two versions are active");
    }
    for version in record.line.live() {
        if let Ok(secret) = branch.unwrap(&TAG, version) {
            assert_eq!(KeyId::of(&secret), version.id, "an id commits to its key");
        }
        let wrapped = WrappedKey::decode(&version.wrapped);
        assert!(wrapped.is_none_or(|wrapped| wrapped.encode() == version.wrapped), "one text for one wrapped key");
    }
    // Whatever it says: a code is checked without a panic.
    let _ = macs.iter().any(|mac| branch.verifies(&body, mac));
    true
}
