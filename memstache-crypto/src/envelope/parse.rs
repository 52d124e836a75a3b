//! Envelopes taken apart; the bytes may be anything.

use super::{COMMITMENT_LEN, HEADER_LEN, INNER_LEN, MAGIC, PADDED, Reason, SALT_LEN, Suite, VERSION};
use crate::{
    backend::{NONCE_LEN, TAG_LEN},
    key::KeyId,
};

/// The parts of an envelope; nothing about them is known to be true.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parsed<'a> {
    /// Everything before the text.
    pub(crate) header: &'a [u8],
    pub(crate) suite: Suite,
    pub(crate) padded: bool,
    /// Where it lies: an id that is put together from bytes is waited for when it is read at once.
    pub(crate) key_id: &'a [u8; KeyId::LEN],
    pub(crate) salt: &'a [u8; SALT_LEN],
    pub(crate) nonce: &'a [u8; NONCE_LEN],
    /// Empty under a suite without one.
    pub(crate) commitment: &'a [u8],
    /// The encrypted text, at least an inner header.
    pub(crate) text: &'a [u8],
    pub(crate) tag: &'a [u8; TAG_LEN],
}

/// Takes an envelope apart: the fixed header, and nothing else, is looked at.
#[inline(always)]
pub(crate) fn parse(bytes: &[u8]) -> Result<Parsed<'_>, Reason> {
    match bytes.first() {
        Some(&MAGIC) => {}
        _ => return Err(Reason::Magic),
    }
    let header: &[u8; HEADER_LEN] = bytes.first_chunk().ok_or(Reason::Length)?;
    if header[1] != VERSION {
        return Err(Reason::Version);
    }
    let suite = Suite::from_byte(header[2]).ok_or(Reason::Suite)?;
    if header[3] & !PADDED != 0 {
        return Err(Reason::Flags);
    }
    let head = HEADER_LEN + if suite.is_committing() { COMMITMENT_LEN } else { 0 };
    let (header, rest) = bytes.split_at_checked(head).ok_or(Reason::Length)?;
    let (text, tag) = rest.split_last_chunk().filter(|(text, _)| text.len() >= INNER_LEN).ok_or(Reason::Length)?;
    Ok(Parsed {
        header,
        suite,
        padded: header[3] & PADDED != 0,
        key_id: part(header, 4),
        salt: part(header, 20),
        nonce: part(header, 36),
        commitment: &header[HEADER_LEN..],
        text,
        tag,
    })
}

fn part<const N: usize>(header: &[u8], at: usize) -> &[u8; N] {
    header[at..].first_chunk().expect("the header is longer")
}
