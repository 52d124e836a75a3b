//! What is kept of one entry, of the store or of a miniature.

use super::state::State;
use crate::memory::slab::Column;

/// The end of a list.
pub(super) const NONE: u32 = u32::MAX;

/// Places for entries under dense ids.
pub(super) trait Slots {
    /// Returns the state under an id; `None` for ids never given.
    fn state(&self, slot: u32) -> Option<&State>;

    /// Returns the state under an id, making room for it.
    fn state_mut(&mut self, slot: u32) -> &mut State;

    fn weight(&self, slot: u32) -> u64;

    /// Sets the weight and returns the state.
    fn weigh(&mut self, slot: u32, weight: usize) -> &mut State;

    /// Returns the next one in the list.
    fn next(&self, slot: u32) -> u32;

    fn set_next(&mut self, slot: u32, next: u32);

    /// Makes a slot the last one of a list and returns its state.
    fn end_list(&mut self, slot: u32) -> &mut State;

    /// Takes a slot out of its list and returns the next one.
    fn unlink(&mut self, slot: u32) -> u32;
}

/// The residents of the store, eight bytes each: whoever comes or goes touches one line of the cache.
pub(super) struct Residents(Column<Resident>);

struct Resident {
    next: u32,
    state: State,
    /// Packed.
    weight: u8,
}

impl Default for Resident {
    fn default() -> Self {
        Self { next: NONE, state: State::default(), weight: 0 }
    }
}

impl Residents {
    pub(super) const fn new() -> Self {
        Self(Column::new())
    }
}

impl Slots for Residents {
    fn state(&self, slot: u32) -> Option<&State> {
        self.0.get(slot).map(|resident| &resident.state)
    }

    fn state_mut(&mut self, slot: u32) -> &mut State {
        &mut self.0.at(slot).state
    }

    fn weight(&self, slot: u32) -> u64 {
        unpack(self.0.get(slot).map_or(0, |resident| resident.weight))
    }

    fn weigh(&mut self, slot: u32, weight: usize) -> &mut State {
        let resident = self.0.at(slot);
        resident.weight = pack(weight);
        &mut resident.state
    }

    fn next(&self, slot: u32) -> u32 {
        self.0.get(slot).map_or(NONE, |resident| resident.next)
    }

    fn set_next(&mut self, slot: u32, next: u32) {
        self.0.at(slot).next = next;
    }

    fn end_list(&mut self, slot: u32) -> &mut State {
        let resident = self.0.at(slot);
        resident.next = NONE;
        &mut resident.state
    }

    fn unlink(&mut self, slot: u32) -> u32 {
        let resident = self.0.at(slot);
        resident.state.set_linked(false);
        resident.next
    }
}

/// The keys of a miniature, eight bytes each, all of weight one; fewer than 2^16.
#[derive(Default)]
pub(super) struct Samples(Vec<Sample>);

struct Sample {
    print: u32,
    next: u16,
    state: State,
}

impl Slots for Samples {
    fn state(&self, slot: u32) -> Option<&State> {
        self.0.get(slot as usize).map(|sample| &sample.state)
    }

    fn state_mut(&mut self, slot: u32) -> &mut State {
        &mut self.at(slot).state
    }

    fn weight(&self, _: u32) -> u64 {
        1
    }

    fn weigh(&mut self, slot: u32, _: usize) -> &mut State {
        self.state_mut(slot)
    }

    fn next(&self, slot: u32) -> u32 {
        match self.0[slot as usize].next {
            u16::MAX => NONE,
            next => u32::from(next),
        }
    }

    fn set_next(&mut self, slot: u32, next: u32) {
        self.0[slot as usize].next = next.min(u16::MAX.into()) as u16;
    }

    fn end_list(&mut self, slot: u32) -> &mut State {
        let sample = self.at(slot);
        sample.next = u16::MAX;
        &mut sample.state
    }

    fn unlink(&mut self, slot: u32) -> u32 {
        self.state_mut(slot).set_linked(false);
        self.next(slot)
    }
}

impl Samples {
    /// Returns the fingerprint of a key.
    pub(super) fn print(&self, slot: u32) -> u32 {
        self.0[slot as usize].print
    }

    pub(super) fn set_print(&mut self, slot: u32, print: u32) {
        self.at(slot).print = print;
    }

    /// Returns how many ids were given.
    pub(super) fn end(&self) -> usize {
        self.0.len()
    }

    /// Gives ids anew to those that are there or that a list holds, returning the new one for each old one.
    pub(super) fn compact(&mut self) -> Vec<u32> {
        let mut kept = 0;
        let mut id = |sample: &Sample| {
            let keeps = sample.state.live() || sample.state.linked();
            kept += u32::from(keeps);
            if keeps { kept - 1 } else { NONE }
        };
        let ids: Vec<u32> = self.0.iter().map(&mut id).collect();
        let mut samples = Vec::with_capacity(kept as usize);
        samples
            .extend(std::mem::take(&mut self.0).into_iter().zip(&ids).filter(|(_, id)| **id != NONE).map(|(s, _)| s));
        for sample in samples.iter_mut().filter(|sample: &&mut Sample| sample.next != u16::MAX) {
            sample.next = ids.get(usize::from(sample.next)).map_or(u16::MAX, |id| (*id).min(u16::MAX.into()) as u16);
        }
        self.0 = samples;
        ids
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.0.capacity() * size_of::<Sample>()
    }

    #[inline]
    fn at(&mut self, slot: u32) -> &mut Sample {
        if self.0.len() <= slot as usize {
            self.grow(slot);
        }
        &mut self.0[slot as usize]
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self, slot: u32) {
        while self.0.len() <= slot as usize {
            if self.0.len() == self.0.capacity() {
                // Small steps, since there are many of these.
                self.0.reserve_exact(self.0.len() / 8 + 8);
            }
            self.0.push(Sample { print: 0, next: u16::MAX, state: State::default() });
        }
    }
}

impl Residents {
    #[cfg(test)]
    pub(super) fn bytes(slots: u32) -> usize {
        let chunks = slots.div_ceil(256) as usize;
        chunks * 256 * size_of::<Resident>() + chunks.next_power_of_two().max(4) * 8
    }
}

/// Packs a weight into an exponent and four leading digits: exact to 15, within an eighth above. 0 counts as 1, so that
/// entries without weight take part; 2 GiB is the most, so that sums cannot overflow.
fn pack(weight: usize) -> u8 {
    let weight = u32::try_from(weight).unwrap_or(u32::MAX).clamp(1, 1 << 31);
    let exponent = 28_u32.saturating_sub(weight.leading_zeros());
    if weight < 8 { weight as u8 } else { (exponent << 3) as u8 + (weight >> exponent) as u8 }
}

fn unpack(packed: u8) -> u64 {
    if packed < 16 { u64::from(packed) } else { u64::from(packed & 7 | 8) << (packed / 8 - 1) }
}

/// Returns the weight that an entry counts with.
pub(super) fn rounded(weight: usize) -> u64 {
    unpack(pack(weight))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_keep_a_digit() {
        for weight in (0..2000).chain([123_456, 1 << 31, usize::MAX]) {
            let (held, exact) = (rounded(weight), weight.clamp(1, 1 << 31) as u64);
            assert!(held <= exact && held * 9 >= exact * 8, "{weight}: {held}");
            assert!(held == exact || exact > 15);
        }
    }

    #[test]
    fn residents_and_samples_take_eight_bytes() {
        assert_eq!(Residents::bytes(1 << 20), (1 << 20) * 8 + (1 << 12) * 8);
        assert_eq!(size_of::<Sample>(), 8);
    }
}
