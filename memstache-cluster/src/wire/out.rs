//! Bytes on their way out: small ones copied together, large values as they are.

use std::{collections::VecDeque, io::IoSlice};

use bytes::{Buf, Bytes};

/// Values from this length on are not copied.
const LARGE: usize = 4096;

/// More room than this is given back once all of it was written.
const KEPT: usize = 256 << 10;

/// Bytes on their way out, in order.
///
/// Small pieces are copied one behind the other; large values stand between them by reference. A writer takes slices off
/// the front with [`slices`](Self::slices) and [`advance`](Self::advance), and nothing is allocated while the room lasts.
#[derive(Debug, Default)]
pub(crate) struct Out {
    small: Vec<u8>,
    /// Where in `small` each large value stands.
    large: VecDeque<(usize, Bytes)>,
    /// How much of `small` was written.
    written: usize,
    len: usize,
}

/// A place in an [`Out`], to go back to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    small: usize,
    large: usize,
    len: usize,
}

impl Out {
    /// Returns how many bytes are to be written.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn byte(&mut self, byte: u8) {
        self.put(&[byte]);
    }

    pub(crate) fn put(&mut self, bytes: &[u8]) {
        self.small.extend_from_slice(bytes);
        self.len += bytes.len();
    }

    pub(crate) fn number(&mut self, number: u64) {
        self.with_small(|small| super::varint::write(number, small));
    }

    /// Lets something write into the small pieces.
    pub(crate) fn with_small<T>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        let before = self.small.len();
        let result = write(&mut self.small);
        self.len += self.small.len() - before;
        result
    }

    /// Adds a value, by reference if it is large.
    pub(crate) fn value(&mut self, value: &Bytes) {
        if value.len() < LARGE {
            return self.put(value);
        }
        self.large.push_back((self.small.len(), value.clone()));
        self.len += value.len();
    }

    /// Adds all of another.
    pub(crate) fn append(&mut self, mut other: Self) {
        debug_assert_eq!(other.written, 0, "not begun");
        let offset = self.small.len();
        self.small.append(&mut other.small);
        self.large.extend(other.large.drain(..).map(|(at, value)| (offset + at, value)));
        self.len += other.len;
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark { small: self.small.len(), large: self.large.len(), len: self.len }
    }

    /// Returns how many bytes were added since.
    pub(crate) fn since(&self, mark: Mark) -> usize {
        self.len - mark.len
    }

    /// Takes back what was added since.
    pub(crate) fn roll_back(&mut self, mark: Mark) {
        self.small.truncate(mark.small);
        self.large.truncate(mark.large);
        self.len = mark.len;
    }

    /// Overwrites the first small bytes that were added since.
    pub(crate) fn patch(&mut self, mark: Mark, bytes: &[u8]) {
        self.small[mark.small..mark.small + bytes.len()].copy_from_slice(bytes);
    }

    /// Fills `slices` with what is next, and returns how many it filled.
    pub(crate) fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let (mut filled, mut at) = (0, self.written);
        let mut push = |bytes: &'a [u8]| {
            if let Some(slot) = slices.get_mut(filled).filter(|_| !bytes.is_empty()) {
                *slot = IoSlice::new(bytes);
                filled += 1;
            }
        };
        for (place, value) in &self.large {
            push(&self.small[at..*place]);
            push(value);
            at = *place;
        }
        push(&self.small[at..]);
        filled
    }

    /// Takes note that so many bytes were written.
    pub(crate) fn advance(&mut self, mut count: usize) {
        self.len -= count;
        while count > 0 {
            let end = self.large.front().map_or(self.small.len(), |(place, _)| *place);
            let small = count.min(end - self.written);
            self.written += small;
            count -= small;
            let Some((_, value)) = self.large.front_mut().filter(|_| count > 0) else { break };
            let large = count.min(value.len());
            count -= large;
            value.advance(large);
            if value.is_empty() {
                self.large.pop_front();
            }
        }
        if self.len == 0 {
            self.clear();
        }
    }

    /// Forgets everything; keeps the room, unless it is much.
    pub(crate) fn clear(&mut self) {
        self.small.clear();
        self.small.shrink_to(KEPT);
        self.large.clear();
        (self.written, self.len) = (0, 0);
    }

    /// Returns all of it as one piece.
    #[cfg(any(test, fuzzing, feature = "test-util"))]
    pub(crate) fn to_vec(&self) -> Vec<u8> {
        let mut slices = vec![IoSlice::new(&[]); 2 * self.large.len() + 1];
        let filled = self.slices(&mut slices);
        slices[..filled].iter().flat_map(|slice| slice.iter().copied()).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_in_any_steps_is_what_was_added(
            pieces in prop::collection::vec((any::<u8>(), 0usize..9000, any::<bool>()), 0..12),
            steps in prop::collection::vec(1usize..7000, 1..20),
        ) {
            let (mut out, mut whole) = (Out::default(), Vec::new());
            for (byte, len, apart) in pieces {
                let piece = Bytes::from(vec![byte; len]);
                whole.extend_from_slice(&piece);
                let mut other = Out::default();
                let target = if apart { &mut other } else { &mut out };
                target.number(u64::from(byte) % 100);
                target.value(&piece);
                let number = whole.len() - len;
                whole.insert(number, byte % 100);
                out.append(other);
            }
            prop_assert_eq!(&out.to_vec(), &whole);
            let mark = out.mark();
            out.put(b"taken back");
            out.value(&Bytes::from(vec![0; 5000]));
            prop_assert_eq!(out.since(mark), 5010);
            out.roll_back(mark);
            let mut written = Vec::new();
            for step in steps.iter().cycle() {
                let mut slices = [IoSlice::new(&[]); 3];
                let filled = out.slices(&mut slices);
                let mut left = *step;
                let before = written.len();
                for slice in &slices[..filled] {
                    let part = left.min(slice.len());
                    written.extend_from_slice(&slice[..part]);
                    left -= part;
                }
                let count = written.len() - before;
                out.advance(count);
                if out.is_empty() { break; }
                prop_assert!(count > 0);
            }
            prop_assert_eq!(written, whole);
        }
    }

    #[test]
    fn room_is_kept_but_not_much_of_it() {
        let mut out = Out::default();
        out.put(&vec![1; 10 * KEPT]);
        out.advance(10 * KEPT);
        assert!(out.is_empty() && out.small.capacity() <= KEPT);
        out.put(b"abc");
        let mark = out.mark();
        out.put(b"1234");
        out.patch(mark, b"98");
        assert_eq!(out.to_vec(), b"abc9834");
    }
}
