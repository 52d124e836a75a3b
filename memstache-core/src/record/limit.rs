//! How large a record may be.

use bytes::Bytes;

use crate::error::{Error, ErrorKind, Result};

/// Longest value of a record unless the store is told otherwise, in bytes.
pub const DEFAULT_MAX_RECORD_VALUE: usize = 64 * 1024;

/// The most that a store can be told to take in one record, in bytes.
pub const MAX_RECORD_VALUE: usize = 16 * 1024 * 1024;

/// Checks a store's limit as it is set.
pub(super) fn checked(limit: usize) -> Result<usize> {
    if limit == 0 || limit > MAX_RECORD_VALUE {
        let given = format_args!("{limit} bytes");
        return Err(Error::invalid("max_value", format_args!("1 to {MAX_RECORD_VALUE} bytes"), given));
    }
    Ok(limit)
}

/// Checks a value against a store's limit.
pub(super) fn check(value: &Bytes, limit: usize) -> Result<()> {
    if value.len() > limit {
        let detail = format!("record value must be at most {limit} bytes long, but {} bytes was given", value.len());
        return Err(Error::new(ErrorKind::TooLarge, detail));
    }
    Ok(())
}
