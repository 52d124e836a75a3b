//! How often entries that went had been used.

const WAYS: usize = 8;
const COUNT: u16 = 0b1111;
const EPOCH: u32 = 4;

/// Fingerprints of recently evicted entries with their counts, two bytes each.
///
/// A table of sets, the newest first in each; a new one pushes the oldest out. Ten bits tell entries of a set apart:
/// one lookup in a hundred or so finds a stranger's count, which an admission by counts bears. There is room for
/// twice as many as there are residents: loops are longer than the store.
pub(super) struct Ghosts {
    /// Each entry: ten bits of fingerprint (never 0), two of epoch, four of count.
    sets: Vec<[u16; WAYS]>,
    /// The set that ages next.
    aging: usize,
}

impl Ghosts {
    pub(super) fn new() -> Self {
        Self { sets: vec![[0; WAYS]], aging: 0 }
    }

    /// Takes an entry that comes back out, returning its count as of this epoch.
    pub(super) fn take(&mut self, print: u32, epoch: u8) -> Option<u8> {
        let (set, tag) = self.place(print);
        let at = set.iter().position(|ghost| ghost >> 6 == tag)?;
        let ghost = set[at];
        set.copy_within(at + 1.., at);
        set[WAYS - 1] = 0;
        let behind = epoch.wrapping_sub((ghost >> EPOCH) as u8) & 3;
        Some((ghost & COUNT) as u8 >> behind)
    }

    /// Puts an entry that goes in.
    pub(super) fn put(&mut self, print: u32, epoch: u8, count: u8) {
        let (set, tag) = self.place(print);
        let at = set.iter().position(|ghost| ghost >> 6 == tag).unwrap_or(WAYS - 1);
        set.copy_within(..at, 1);
        set[0] = tag << 6 | u16::from(epoch & 3) << EPOCH | u16::from(count) & COUNT;
    }

    /// Makes room for about this many.
    ///
    /// By linear hashing (Litwin, VLDB 1980), a set at a time. A new set begins as a copy of the one that it relieves:
    /// the bit that would tell their ghosts apart is not kept.
    pub(super) fn reserve(&mut self, ghosts: usize) {
        while (self.sets.len() + 1) * WAYS <= ghosts {
            let at = self.sets.len();
            if at == self.sets.capacity() {
                self.sets.reserve_exact(at / 16 + 1);
            }
            self.sets.push(self.sets[at - (at + 1).next_power_of_two() / 2]);
        }
    }

    /// Returns in how many steps all are aged.
    pub(super) fn sets(&self) -> usize {
        self.sets.len()
    }

    /// Gives back all but room for so many; some that there would be room for are forgotten with the others.
    pub(super) fn shrink(&mut self, ghosts: usize) {
        self.sets.truncate((ghosts / WAYS).max(1));
        self.sets.shrink_to_fit();
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.sets.capacity() * size_of::<[u16; WAYS]>()
    }

    /// Halves what an epoch left unhalved, for one set; all of them once in so many calls as there are sets.
    pub(super) fn age(&mut self, epoch: u8) {
        self.aging = (self.aging + 1) % self.sets.len();
        for ghost in self.sets[self.aging].iter_mut().filter(|ghost| **ghost != 0) {
            let behind = epoch.wrapping_sub((*ghost >> EPOCH) as u8) & 3;
            *ghost = *ghost & !0b11_1111 | u16::from(epoch & 3) << EPOCH | (*ghost & COUNT) >> behind;
        }
    }

    fn place(&mut self, print: u32) -> (&mut [u16; WAYS], u16) {
        let spread = print.wrapping_mul(0x9e37_79b1);
        let spread = spread ^ spread >> 15;
        let (sets, mask) = (self.sets.len(), self.sets.len().next_power_of_two() - 1);
        let at = spread as usize & mask;
        let at = if at < sets { at } else { at & mask >> 1 };
        (&mut self.sets[at], ((spread >> 22) as u16).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_back_is_known_once_with_its_count_halved_by_epochs() {
        let mut ghosts = Ghosts::new();
        ghosts.reserve(64);
        ghosts.put(7, 1, 12);
        ghosts.put(8, 1, 12);
        assert_eq!((ghosts.take(7, 2), ghosts.take(7, 2)), (Some(6), None));
        (0..8).for_each(|_| ghosts.age(3));
        (0..8).for_each(|_| ghosts.age(4));
        assert_eq!(ghosts.take(8, 5), Some(0), "12, 3 when aged at epoch 3, 1 at 4, 0 at 5");
    }

    #[test]
    fn growth_loses_nothing_and_size_is_bounded() {
        let mut ghosts = Ghosts::new();
        ghosts.reserve(1024);
        (0..512).for_each(|print| ghosts.put(print, 0, 3));
        let known = |mut ghosts: Ghosts| (0..512).filter(|print| ghosts.take(*print, 0).is_some()).count();
        let before = known(Ghosts { sets: ghosts.sets.clone(), aging: 0 });
        ghosts.reserve(5000);
        assert_eq!(known(Ghosts { sets: ghosts.sets.clone(), aging: 0 }), before);
        assert!(before > 450, "{before}");
        (0..100_000).for_each(|print| ghosts.put(print, 0, 0));
        assert_eq!(ghosts.sets.len(), 625);
        assert!(ghosts.bytes() < 5000 * 17 / 8, "{}", ghosts.bytes());
    }
}
