//! Who asks, by the token that is shown; pure.

use std::fmt;

use axum::http::{HeaderMap, header::AUTHORIZATION};
use data_encoding::BASE64;
use memstache_core::{Error, Result};
use ring::digest::{SHA256, digest};
use subtle::ConstantTimeEq as _;

use crate::problems::Problems;

const LEAST: usize = 16;
const MOST: usize = 512;

/// Longest header with a token that is read.
const MAX_HEADER: usize = 2048;

/// What may be asked for. The greater, the more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Access {
    /// Nobody knows who asks: no names of keys.
    Anybody,
    /// Someone who showed a token.
    Reader,
    /// Someone who may change things.
    Writer,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// No token, or a wrong one, for a read.
    UnknownReader,
    /// No token, or a wrong one, for a change.
    UnknownWriter,
    /// The token that was shown may read only.
    ReadOnly,
    /// No write token was set: nobody may change anything.
    NoWriters,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Whether the node lives and is ready.
    Probe,
    /// Anything else that changes nothing.
    Read,
    /// Whatever is no safe method.
    Change,
}

/// The tokens that are known: their hashes, which are compared in constant time.
#[derive(Clone, Default)]
pub(super) struct Tokens {
    read: Option<Hash>,
    write: Option<Hash>,
}

#[derive(Clone, Copy)]
struct Hash([u8; 32]);

impl Hash {
    fn of(token: &[u8]) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, token).as_ref());
        Self(hash)
    }

    fn is(known: Option<&Self>, given: &Self) -> bool {
        known.is_some_and(|known| known.0.ct_eq(&given.0).into())
    }
}

/// A token as it was shown.
struct Shown {
    token: Hash,
    bearer: bool,
}

impl Tokens {
    /// Takes the hashes of good tokens.
    pub(super) fn new(read: Option<&str>, write: Option<&str>, problems: &mut Problems) -> Self {
        for (field, token) in [("read_token", read), ("write_token", write)] {
            if let Some(token) = token {
                problems.note(check(field, token));
            }
        }
        let same = || Error::invalid("write_token", "another than the read_token", "the same");
        problems.require(read.is_none() || read != write, same);
        let hash = |token: &str| Hash::of(token.as_bytes());
        Self { read: read.map(hash), write: write.map(hash) }
    }

    /// Returns whether reading needs a token.
    pub(super) const fn guard_reads(&self) -> bool {
        self.read.is_some()
    }

    /// Says what who sent these headers may see, or why not what they wish.
    pub(super) fn admit(&self, wish: Wish, headers: &HeaderMap) -> Result<Access, Refusal> {
        let shown = shown(headers);
        let token = shown.as_ref().map(|shown| &shown.token);
        let reads = token.is_some_and(|token| Hash::is(self.read.as_ref(), token));
        let writes = token.is_some_and(|token| Hash::is(self.write.as_ref(), token));
        let access = match (writes, reads) {
            (true, _) => Access::Writer,
            (false, true) => Access::Reader,
            (false, false) => Access::Anybody,
        };
        match wish {
            Wish::Read if self.guard_reads() && access == Access::Anybody => Err(Refusal::UnknownReader),
            Wish::Probe | Wish::Read => Ok(access),
            Wish::Change if self.write.is_none() => Err(Refusal::NoWriters),
            // A browser sends `Basic` by itself, whoever makes it ask: what changes something needs more.
            Wish::Change if writes && shown.is_some_and(|shown| shown.bearer) => Ok(access),
            Wish::Change if reads => Err(Refusal::ReadOnly),
            Wish::Change => Err(Refusal::UnknownWriter),
        }
    }
}

fn check(field: &'static str, token: &str) -> Result<()> {
    if !(LEAST..=MOST).contains(&token.len()) {
        let given = format_args!("{} bytes", token.len());
        return Err(Error::invalid(field, format_args!("{LEAST} to {MOST} bytes long"), given));
    }
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Error::invalid(field, "made of visible ASCII characters", "another"));
    }
    Ok(())
}

/// Reads the one token that is shown: a bearer's (RFC 6750), or the password of `Basic` (RFC 7617).
fn shown(headers: &HeaderMap) -> Option<Shown> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (all.next(), all.next()) else { return None };
    let text = value.to_str().ok().filter(|text| text.len() <= MAX_HEADER)?;
    let (scheme, rest) = text.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(Shown { token: Hash::of(rest.as_bytes()), bearer: true });
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = BASE64.decode(rest.as_bytes()).ok()?;
    let colon = pair.iter().position(|byte| *byte == b':')?;
    Some(Shown { token: Hash::of(&pair[colon + 1..]), bearer: false })
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("read", &self.read.is_some()).field("write", &self.write.is_some()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ: &str = "read-token-0123456789";
    const WRITE: &str = "write-token-0123456789";

    fn tokens(read: bool, write: bool) -> Tokens {
        let mut problems = Problems::default();
        let tokens = Tokens::new(read.then_some(READ), write.then_some(WRITE), &mut problems);
        problems.finish().unwrap();
        tokens
    }

    fn headers(values: &[String]) -> HeaderMap {
        values.iter().map(|value| (AUTHORIZATION, value.parse().unwrap())).collect()
    }

    fn basic(token: &str) -> String {
        format!("Basic {}", BASE64.encode(format!("me:{token}").as_bytes()))
    }

    fn bearer(token: &str) -> String {
        format!("bearer {token}")
    }

    #[test]
    fn whoever_shows_what_gets_this_and_no_more() {
        use Access::{Anybody, Reader, Writer};
        use Refusal::{NoWriters, ReadOnly, UnknownReader, UnknownWriter};
        let nothing = headers(&[]);
        let wrong = headers(&[bearer("write-token-012345678")]);
        let (read, basic_read) = (headers(&[bearer(READ)]), headers(&[basic(READ)]));
        let (write, basic_write) = (headers(&[bearer(WRITE)]), headers(&[basic(WRITE)]));
        let twice = headers(&[bearer(WRITE), bearer(READ)]);
        for ((has_read, has_write), shown, to_read, to_change) in [
            ((false, false), &nothing, Ok(Anybody), Err(NoWriters)),
            ((false, false), &write, Ok(Anybody), Err(NoWriters)),
            ((false, true), &nothing, Ok(Anybody), Err(UnknownWriter)),
            ((false, true), &wrong, Ok(Anybody), Err(UnknownWriter)),
            ((false, true), &write, Ok(Writer), Ok(Writer)),
            ((false, true), &basic_write, Ok(Writer), Err(UnknownWriter)),
            ((true, false), &nothing, Err(UnknownReader), Err(NoWriters)),
            ((true, false), &read, Ok(Reader), Err(NoWriters)),
            ((true, true), &nothing, Err(UnknownReader), Err(UnknownWriter)),
            ((true, true), &wrong, Err(UnknownReader), Err(UnknownWriter)),
            ((true, true), &read, Ok(Reader), Err(ReadOnly)),
            ((true, true), &basic_read, Ok(Reader), Err(ReadOnly)),
            ((true, true), &write, Ok(Writer), Ok(Writer)),
            ((true, true), &twice, Err(UnknownReader), Err(UnknownWriter)),
        ] {
            let tokens = tokens(has_read, has_write);
            assert_eq!(tokens.admit(Wish::Read, shown), to_read, "{tokens:?} {shown:?}");
            assert_eq!(tokens.admit(Wish::Change, shown), to_change, "{tokens:?} {shown:?}");
            assert!(tokens.admit(Wish::Probe, shown).is_ok());
        }
    }

    #[test]
    fn what_is_no_token_is_none() {
        let long = format!("Bearer {}", "x".repeat(MAX_HEADER));
        for wrong in ["", "Bearer", "Digest x", "Basic !", "Basic eA==", &long] {
            assert!(shown(&headers(&[wrong.to_owned()])).is_none(), "{wrong}");
        }
    }

    #[test]
    fn bad_tokens_are_named_and_not_shown() {
        let mut problems = Problems::default();
        Tokens::new(Some("short"), Some(&"ü".repeat(20)), &mut problems);
        let error = problems.finish().unwrap_err().to_string();
        assert_eq!(
            error,
            "read_token must be 16 to 512 bytes long, but 5 bytes was given; \
             write_token must be made of visible ASCII characters, but another was given"
        );
        let mut problems = Problems::default();
        Tokens::new(Some(READ), Some(READ), &mut problems);
        assert!(problems.finish().unwrap_err().to_string().contains("another than the read_token"));
        assert_eq!(format!("{:?}", tokens(true, false)), "Tokens { read: true, write: false }");
    }
}
