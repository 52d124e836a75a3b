//! What is kept of one entry, of the store or of a miniature.

use super::state::State;
use crate::memory::slab::Column;

/// The end of a list.
pub(super) const NONE: u32 = u32::MAX;

/// The bits of a fingerprint that are kept of a resident.
const PRINT: u32 = (1 << 24) - 1;

/// Places for entries under dense ids.
pub(super) trait Slots {
    /// Returns the state under an id; `None` for ids never given.
    fn state(&self, slot: u32) -> Option<&State>;

    /// Returns the state under an id, making room for it.
    fn state_mut(&mut self, slot: u32) -> &mut State;

    /// Begins an entry; its state and its link are left as they are.
    fn begin(&mut self, slot: u32, print: u32, weight: usize);

    /// Returns the part of the fingerprint that is kept.
    fn print(&self, slot: u32) -> u32;

    /// Returns the part of a fingerprint that is kept.
    fn kept(print: u32) -> u32;

    fn weight(&self, slot: u32) -> u64;

    fn set_weight(&mut self, slot: u32, weight: usize);

    /// Returns the next one in the list.
    fn next(&self, slot: u32) -> u32;

    fn set_next(&mut self, slot: u32, next: u32);
}

/// The residents of the store, ten bytes each: what hits touch, apart from what they do not.
pub(super) struct Residents {
    states: Column<State>,
    entries: Column<Entry>,
}

#[derive(Clone, Copy, Default)]
struct Entry {
    next: u32,
    /// A fingerprint of the key's hash, above the weight in eight bits.
    kept: u32,
}

impl Residents {
    pub(super) const fn new() -> Self {
        Self { states: Column::new(), entries: Column::new() }
    }

    fn get(&self, slot: u32) -> Entry {
        self.entries.get(slot).copied().unwrap_or_default()
    }
}

impl Slots for Residents {
    fn state(&self, slot: u32) -> Option<&State> {
        self.states.get(slot)
    }

    fn state_mut(&mut self, slot: u32) -> &mut State {
        self.states.at(slot)
    }

    fn begin(&mut self, slot: u32, print: u32, weight: usize) {
        self.entries.at(slot).kept = Self::kept(print) << 8 | u32::from(pack(weight));
    }

    fn print(&self, slot: u32) -> u32 {
        self.get(slot).kept >> 8
    }

    fn kept(print: u32) -> u32 {
        print & PRINT
    }

    fn weight(&self, slot: u32) -> u64 {
        unpack(self.get(slot).kept as u8)
    }

    fn set_weight(&mut self, slot: u32, weight: usize) {
        let kept = &mut self.entries.at(slot).kept;
        *kept = *kept & !0xff | u32::from(pack(weight));
    }

    fn next(&self, slot: u32) -> u32 {
        self.get(slot).next
    }

    fn set_next(&mut self, slot: u32, next: u32) {
        self.entries.at(slot).next = next;
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

    fn begin(&mut self, slot: u32, print: u32, _: usize) {
        self.at(slot).print = print;
    }

    fn print(&self, slot: u32) -> u32 {
        self.0[slot as usize].print
    }

    fn kept(print: u32) -> u32 {
        print
    }

    fn weight(&self, _: u32) -> u64 {
        1
    }

    fn set_weight(&mut self, _: u32, _: usize) {}

    fn next(&self, slot: u32) -> u32 {
        match self.0[slot as usize].next {
            u16::MAX => NONE,
            next => u32::from(next),
        }
    }

    fn set_next(&mut self, slot: u32, next: u32) {
        self.0[slot as usize].next = next.min(u16::MAX.into()) as u16;
    }
}

impl Samples {
    /// Returns how many ids were given.
    pub(super) fn end(&self) -> usize {
        self.0.len()
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.0.capacity() * size_of::<Sample>()
    }

    fn at(&mut self, slot: u32) -> &mut Sample {
        while self.0.len() <= slot as usize {
            if self.0.len() == self.0.capacity() {
                // Small steps, since there are many of these.
                self.0.reserve_exact(self.0.len() / 8 + 8);
            }
            self.0.push(Sample { print: 0, next: u16::MAX, state: State::default() });
        }
        &mut self.0[slot as usize]
    }
}

impl Residents {
    #[cfg(test)]
    pub(super) fn bytes(slots: u32) -> usize {
        let chunks = slots.div_ceil(256) as usize;
        chunks * 256 * (size_of::<State>() + size_of::<Entry>()) + chunks.next_power_of_two().max(4) * 16
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
    fn a_resident_takes_ten_bytes_and_a_sample_eight() {
        assert_eq!(size_of::<State>() + size_of::<Entry>(), 10);
        assert_eq!(size_of::<Sample>(), 8);
    }
}
