//! Opening an envelope whose key is known.

use bytes::{Buf as _, Bytes};
use memstache_core::Address;

use super::{EntryKey, INNER_LEN, Inner, Parsed, Reason, associated};

/// Checks and decrypts an envelope for where it was found. One allocation, as long as the text.
#[inline(always)]
pub(crate) fn open(parsed: &Parsed<'_>, key: &EntryKey, address: &Address) -> Result<(Inner, Bytes), Reason> {
    if !key.is_committed_to(parsed.commitment) {
        return Err(Reason::Commitment);
    }
    let mut text = parsed.text.to_vec();
    associated::with(parsed.header, address, |aad| key.cipher.open(*parsed.nonce, aad, &mut text, *parsed.tag))
        .map_err(|_| Reason::Tag)?;
    let inner = Inner::read(text.first_chunk().ok_or(Reason::Length)?)?;
    let padding = padding(parsed, &inner).ok_or(Reason::Inner)?;
    // The value is at the end, and neither end is cut: either would allocate once more.
    let mut value = Bytes::from(text);
    value.advance(INNER_LEN + padding);
    Ok((inner, value))
}

/// How many bytes stand between the inner header and the value, if there may be as many.
fn padding(parsed: &Parsed<'_>, inner: &Inner) -> Option<usize> {
    let padding = (parsed.text.len() - INNER_LEN).checked_sub(usize::try_from(inner.len).ok()?)?;
    (padding == 0 || parsed.padded).then_some(padding)
}
