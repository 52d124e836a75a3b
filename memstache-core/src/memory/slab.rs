//! Storage by dense ids that grows and shrinks in chunks, so that growth never copies what is held.

/// Values in one chunk; as many as a bitmap word has bits.
pub(crate) const CHUNK: usize = 64;

/// Values under dense `u32` ids below 2^31, each with a rest that is kept apart from it.
///
/// The lowest chunk with room is filled first, so that the highest ones drain; a chunk that is empty gives its memory
/// back.
pub(crate) struct Slab<T, R = ()> {
    /// `None` where the memory was given back. Apart from all else, so that a lookup finds its chunk in few cache lines.
    chunks: Vec<Option<Box<[Option<T>; CHUNK]>>>,
    rests: Vec<Option<Box<[R; CHUNK]>>>,
    /// One bit a slot in use.
    used: Vec<u64>,
    /// One bit a chunk: allocated, and with room.
    roomy: Vec<u64>,
    /// No word of `roomy` below this one has a bit.
    first_roomy: usize,
    /// Chunks without memory.
    released: Vec<u32>,
    len: usize,
}

impl<T, R: Default> Slab<T, R> {
    pub(crate) const fn new() -> Self {
        Self {
            chunks: Vec::new(),
            rests: Vec::new(),
            used: Vec::new(),
            roomy: Vec::new(),
            first_roomy: 0,
            released: Vec::new(),
            len: 0,
        }
    }

    /// Returns how many values are held.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Returns how many chunks have memory.
    pub(crate) fn chunks(&self) -> usize {
        self.chunks.len() - self.released.len()
    }

    /// Returns one more than the highest id ever given.
    pub(crate) fn end(&self) -> u32 {
        id_of(self.chunks.len())
    }

    /// Returns whether the next insert takes memory for another chunk.
    pub(crate) fn is_full(&mut self) -> bool {
        self.lowest().is_none()
    }

    /// Returns whether another value may as well take the place of one: no lower chunk has room.
    #[inline]
    pub(crate) fn is_low(&mut self, id: u32) -> bool {
        self.lowest().is_none_or(|lowest| id as usize / CHUNK <= lowest)
    }

    /// Takes a value in under the lowest free id of the lowest chunk with room; also returns what [`remove`](Self::remove)
    /// left there, the default in a new chunk.
    pub(crate) fn insert(&mut self, value: T, rest: R) -> (u32, R) {
        let at = match self.lowest() {
            Some(at) => at,
            None => self.grow(),
        };
        let bit = (!self.used[at]).trailing_zeros();
        self.used[at] |= 1 << bit;
        let mut left = R::default();
        if let (Some(values), Some(rests)) = (&mut self.chunks[at], &mut self.rests[at]) {
            values[bit as usize] = Some(value);
            left = std::mem::replace(&mut rests[bit as usize], rest);
        }
        if self.used[at] == u64::MAX {
            self.roomy[at / 64] &= !(1 << (at % 64));
        }
        self.len += 1;
        (id_of(at) + bit, left)
    }

    /// Takes a value out and leaves something in the place of its rest; its id may be given again.
    pub(crate) fn remove(&mut self, id: u32, leave: impl FnOnce(&T, &R) -> R) -> Option<(T, R)> {
        let (at, bit) = (id as usize / CHUNK, id as usize % CHUNK);
        let value = self.chunks.get_mut(at)?.as_mut()?[bit].take()?;
        let rest = &mut self.rests[at].as_mut()?[bit];
        let left = leave(&value, rest);
        let rest = std::mem::replace(rest, left);
        self.used[at] &= !(1 << bit);
        self.len -= 1;
        if self.used[at] == 0 {
            (self.chunks[at], self.rests[at]) = (None, None);
            self.released.push(u32::try_from(at).expect("ids are 31 bits wide"));
            self.roomy[at / 64] &= !(1 << (at % 64));
        } else {
            self.roomy[at / 64] |= 1 << (at % 64);
            self.first_roomy = self.first_roomy.min(at / 64);
        }
        Some((value, rest))
    }

    pub(crate) fn get(&self, id: u32) -> Option<&T> {
        self.chunks.get(id as usize / CHUNK)?.as_ref()?[id as usize % CHUNK].as_ref()
    }

    pub(crate) fn both(&self, id: u32) -> Option<(&T, &R)> {
        let rest = self.rest(id)?;
        Some((self.get(id)?, rest))
    }

    /// Returns the rest of a value under its id.
    pub(crate) fn rest(&self, id: u32) -> Option<&R> {
        Some(&self.rests.get(id as usize / CHUNK)?.as_ref()?[id as usize % CHUNK])
    }

    pub(crate) fn both_mut(&mut self, id: u32) -> Option<(&mut T, &mut R)> {
        let (at, bit) = (id as usize / CHUNK, id as usize % CHUNK);
        let value = self.chunks.get_mut(at)?.as_mut()?[bit].as_mut()?;
        Some((value, &mut self.rests.get_mut(at)?.as_mut()?[bit]))
    }

    fn lowest(&mut self) -> Option<usize> {
        while let Some(word) = self.roomy.get(self.first_roomy) {
            if *word != 0 {
                return Some(self.first_roomy * 64 + word.trailing_zeros() as usize);
            }
            self.first_roomy += 1;
        }
        None
    }

    fn grow(&mut self) -> usize {
        let (values, rests) = (chunk(|| None), chunk(R::default));
        let at = match self.released.pop() {
            Some(at) => {
                (self.chunks[at as usize], self.rests[at as usize]) = (values, rests);
                at as usize
            }
            None => {
                self.chunks.push(values);
                self.rests.push(rests);
                self.used.push(0);
                self.chunks.len() - 1
            }
        };
        if self.roomy.len() <= at / 64 {
            self.roomy.push(0);
        }
        self.roomy[at / 64] |= 1 << (at % 64);
        self.first_roomy = self.first_roomy.min(at / 64);
        at
    }
}

fn chunk<T>(value: impl Fn() -> T) -> Option<Box<[T; CHUNK]>> {
    let values: Box<[T]> = (0..CHUNK).map(|_| value()).collect();
    values.try_into().ok()
}

/// Returns the first id of a chunk.
fn id_of(chunk: usize) -> u32 {
    let id = u32::try_from(chunk * CHUNK).ok().filter(|id| *id <= 1 << 31);
    id.expect("ids are 31 bits wide")
}

/// Small values for every id of a slab, such as links; grows in chunks and keeps what it has.
pub(crate) struct Column<T>(Vec<Box<[T; COLUMN]>>);

const COLUMN: usize = 256;

impl<T> Column<T> {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    /// Returns the value under an id; `None` beyond the highest chunk that was written to.
    #[inline]
    pub(crate) fn get(&self, id: u32) -> Option<&T> {
        self.0.get(id as usize / COLUMN).map(|chunk| &chunk[id as usize % COLUMN])
    }
}

impl<T: Default> Column<T> {
    /// Returns the place under an id; the default is there if it was never set.
    #[inline]
    pub(crate) fn at(&mut self, id: u32) -> &mut T {
        let chunk = id as usize / COLUMN;
        if self.0.len() <= chunk {
            self.grow(chunk);
        }
        &mut self.0[chunk][id as usize % COLUMN]
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self, chunk: usize) {
        while self.0.len() <= chunk {
            let values: Box<[T]> = (0..COLUMN).map(|_| T::default()).collect();
            self.0.extend(values.try_into().ok());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_empty_chunk_gives_its_memory_back_and_low_ones_are_filled_first() {
        let mut slab = Slab::new();
        let ids: Vec<u32> = (0..CHUNK as u32 * 3).map(|n| slab.insert(n, ()).0).collect();
        assert_eq!((slab.chunks(), slab.is_full()), (3, true));
        for id in &ids[CHUNK..CHUNK * 2] {
            slab.remove(*id, |_, ()| ());
        }
        assert_eq!(slab.chunks(), 2);
        slab.remove(ids[CHUNK * 2], |_, ()| ());
        slab.remove(ids[3], |_, ()| ());
        assert_eq!(slab.insert(7, ()).0, 3, "the lowest chunk first");
        assert_eq!(slab.insert(8, ()).0, CHUNK as u32 * 2);
        assert_eq!(slab.insert(9, ()).0, CHUNK as u32, "a released chunk comes back");
    }

    proptest! {
        #[test]
        fn behaves_like_a_map(steps in prop::collection::vec((any::<bool>(), any::<u16>()), 0..2000)) {
            let mut slab = Slab::new();
            let mut model = BTreeMap::new();
            for (insert, value) in steps {
                if insert || model.is_empty() {
                    let full = slab.is_full();
                    let before = slab.chunks();
                    let (id, left) = slab.insert(value, u32::from(value) + 1);
                    prop_assert!(left == 0 || left == 1 + id);
                    prop_assert_eq!(full, slab.chunks() > before);
                    prop_assert!(model.insert(id, value).is_none());
                } else {
                    let id = *model.keys().nth(usize::from(value) % model.len()).unwrap();
                    let held = model.remove(&id).map(|value: u16| (value, u32::from(value) + 1));
                    prop_assert_eq!(slab.remove(id, |_, _| 1 + id), held);
                    prop_assert_eq!(slab.remove(id, |_, _| 0), None);
                }
                prop_assert_eq!(slab.len(), model.len());
            }
            for (id, value) in &model {
                prop_assert_eq!(slab.both(*id), Some((value, &(u32::from(*value) + 1))));
            }
        }
    }
}
