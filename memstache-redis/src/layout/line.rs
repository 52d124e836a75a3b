//! The line of a tenant: in which order its tags, spaces and all of it were invalidated.

use memstache_core::{Error, ErrorKind, Result, Sequence};

use super::Visible;
use crate::client::Reply;

/// What a call read of a tenant's line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// The last invalidation of any kind.
    pub(crate) sequence: Sequence,
    /// The last clear of the tenant, or when the line began.
    floor: u64,
    /// What entries with tags must be younger than, for tags that were forgotten.
    tagged_floor: u64,
    /// For each space that was asked about: its last clear, and its last invalidation.
    spaces: Vec<(u64, u64)>,
}

/// Whether an entry is hidden.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hides {
    No,
    Yes,
    /// A tag of its space was invalidated since: maybe one of its own.
    AskTags,
}

impl Line {
    /// Reads what scripts answer: numbers, or what is written down of the tenant and of each space, one after the other.
    pub(crate) fn parse(reply: &Reply, spaces: usize) -> Result<Self> {
        let wrong = || Error::new(ErrorKind::Protocol, "the server answered something else than a line");
        if let Reply::Bytes(written) = reply {
            let (numbers, rest) = written.as_chunks::<8>();
            if numbers.len() != 3 + 2 * spaces || !rest.is_empty() {
                return Err(wrong());
            }
            let number = |at: usize| u64::from_be_bytes(numbers[at]);
            let spaces = (0..spaces).map(|at| (number(3 + 2 * at), number(4 + 2 * at))).collect();
            return Ok(Self { sequence: Sequence(number(0)), floor: number(1), tagged_floor: number(2), spaces });
        }
        let Reply::Array(items) = reply else { return Err(wrong()) };
        if items.len() != 3 + 2 * spaces {
            return Err(wrong());
        }
        let number = |at: usize| items[at].as_u64().ok_or_else(wrong);
        let spaces = (0..spaces).map(|at| Ok((number(3 + 2 * at)?, number(4 + 2 * at)?))).collect::<Result<_>>()?;
        Ok(Self { sequence: Sequence(number(0)?), floor: number(1)?, tagged_floor: number(2)?, spaces })
    }

    /// Reads what scripts write down of a line: of the tenant, and of each space; `None` for what is not there, or
    /// not of this release.
    ///
    /// ```text
    ///   8  sequence                  8  last clear of the space
    ///   8  floor                     8  its last invalidation
    ///   8  floor of what is tagged
    /// ```
    pub(crate) fn parse_extract(tenant: &Reply, spaces: &[Reply]) -> Option<Self> {
        let [sequence, floor, tagged_floor] = numbers(tenant)?;
        let spaces = spaces.iter().map(|space| numbers(space).map(|[clear, last]| (clear, last)));
        Some(Self { sequence: Sequence(sequence), floor, tagged_floor, spaces: spaces.collect::<Option<_>>()? })
    }

    /// Returns the last clear of a space or of the tenant.
    pub(crate) fn cleared(&self, space: usize) -> u64 {
        self.floor.max(self.spaces[space].0)
    }

    /// Returns the last invalidation of whatever kind that concerns a space.
    pub(crate) fn changed(&self, space: usize) -> u64 {
        self.floor.max(self.spaces[space].1)
    }

    /// Judges an entry of a space.
    pub(crate) fn hides(&self, space: usize, entry: &Visible) -> Hides {
        let sequence = entry.sequence.0;
        if self.cleared(space) > sequence {
            Hides::Yes
        } else if entry.tags.is_empty() {
            Hides::No
        } else if self.tagged_floor > sequence {
            Hides::Yes
        } else if self.spaces[space].1 > sequence {
            Hides::AskTags
        } else {
            Hides::No
        }
    }
}

fn numbers<const N: usize>(reply: &Reply) -> Option<[u64; N]> {
    let Reply::Bytes(bytes) = reply else { return None };
    let (numbers, rest) = bytes.as_chunks::<8>();
    let numbers = <[[u8; 8]; N]>::try_from(numbers).ok().filter(|_| rest.is_empty())?;
    Some(numbers.map(u64::from_be_bytes))
}

#[cfg(test)]
mod tests {
    use memstache_core::{Tag, Tags, Version};

    use super::*;

    fn line(sequence: u64, floor: u64, tagged: u64, clear: u64, last: u64) -> Line {
        let numbers = [sequence, floor, tagged, clear, last].map(|n| Reply::Int(i64::try_from(n).unwrap()));
        Line::parse(&Reply::Array(numbers.into()), 1).unwrap()
    }

    fn entry(sequence: u64, tagged: bool) -> Visible {
        let tags = if tagged { Tags::new([Tag::new("red").unwrap()]).unwrap() } else { Tags::NONE };
        Visible { version: Version(1), sequence: Sequence(sequence), tags }
    }

    #[test]
    fn one_row_for_each_reason() {
        for (line, tagged, hides) in [
            (line(5, 5, 0, 0, 0), false, Hides::No),
            (line(6, 6, 0, 0, 0), false, Hides::Yes),
            (line(6, 0, 0, 6, 6), false, Hides::Yes),
            (line(6, 0, 0, 0, 6), false, Hides::No),
            (line(6, 0, 0, 0, 6), true, Hides::AskTags),
            (line(6, 0, 0, 0, 5), true, Hides::No),
            (line(6, 0, 6, 0, 0), true, Hides::Yes),
            (line(6, 0, 6, 0, 0), false, Hides::No),
        ] {
            assert_eq!(line.hides(0, &entry(5, tagged)), hides, "{line:?} {tagged}");
        }
    }

    #[test]
    fn an_extract_says_the_same() {
        let bytes = |numbers: &[u64]| Reply::Bytes(numbers.iter().flat_map(|n| n.to_be_bytes()).collect());
        let read = |tenant: &[u64], space: &[u64]| Line::parse_extract(&bytes(tenant), &[bytes(space)]);
        assert_eq!(read(&[6, 5, 4], &[3, 2]), Some(line(6, 5, 4, 3, 2)));
        assert_eq!(Line::parse(&bytes(&[6, 5, 4, 3, 2]), 1).unwrap(), line(6, 5, 4, 3, 2), "both in one");
        assert!(Line::parse(&bytes(&[6, 5, 4, 3]), 1).is_err() && Line::parse(&bytes(&[6, 5, 4, 3, 2]), 0).is_err());
        assert_eq!(read(&[6, 5], &[3, 2]), None);
        assert_eq!(read(&[6, 5, 4], &[3, 2, 1]), None);
        assert_eq!(Line::parse_extract(&bytes(&[6, 5, 4]), &[Reply::Nil]), None);
        assert_eq!(Line::parse_extract(&Reply::Bytes("ten bytes.".into()), &[]), None);
    }

    #[test]
    fn other_answers_are_errors() {
        for reply in [Reply::Nil, Reply::Array(vec![]), Reply::Array(vec![Reply::Nil; 5]), Reply::Int(1)] {
            assert_eq!(Line::parse(&reply, 1).unwrap_err().kind(), ErrorKind::Protocol);
        }
    }
}
