//! Which sequence numbers were seen.

use crate::membership::gossip::parameters::WINDOW;

/// The sliding window of RFC 4303, section 3.4.3: a number is taken once, and not at all once it is too far behind.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Window {
    highest: Option<u64>,
    /// Bit n: `highest - n` was seen.
    seen: u128,
}

impl Window {
    /// Whether a number may be taken.
    pub(super) const fn is_new(&self, number: u64) -> bool {
        match self.highest {
            Some(highest) if number <= highest => {
                let behind = highest - number;
                behind < WINDOW && self.seen >> behind & 1 == 0
            }
            _ => true,
        }
    }

    /// Takes a number.
    pub(super) const fn take(&mut self, number: u64) {
        let behind = match self.highest {
            Some(highest) if number <= highest => highest - number,
            before => {
                let ahead = if let Some(highest) = before { number - highest } else { WINDOW };
                self.seen = if ahead < WINDOW { self.seen << ahead } else { 0 };
                self.highest = Some(number);
                0
            }
        };
        if behind < WINDOW {
            self.seen |= 1 << behind;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_too_far_behind_is_not_taken() {
        let mut window = Window::default();
        window.take(1000);
        assert!(!window.is_new(1000) && window.is_new(999) && window.is_new(1001));
        assert!(window.is_new(1000 - WINDOW + 1) && !window.is_new(1000 - WINDOW));
        window.take(u64::MAX - 1);
        assert!(!window.is_new(u64::MAX - 1) && window.is_new(u64::MAX - 2));
    }

    #[test]
    fn the_highest_number_there_is_is_taken_once_whether_first_or_last() {
        for first in [None, Some(0), Some(u64::MAX - 1)] {
            let mut window = Window::default();
            first.into_iter().for_each(|first| window.take(first));
            assert!(window.is_new(u64::MAX));
            window.take(u64::MAX);
            assert!(!window.is_new(u64::MAX) && window.is_new(u64::MAX - 2), "{first:?}");
        }
    }

    proptest! {
        #[test]
        fn no_number_is_taken_twice(numbers in proptest::collection::vec(0..400_u64, 0..400)) {
            let (mut window, mut seen) = (Window::default(), BTreeSet::new());
            for number in numbers {
                let highest = seen.last().copied();
                let near = highest.is_none_or(|highest| number + WINDOW > highest);
                prop_assert_eq!(window.is_new(number), near && !seen.contains(&number));
                if window.is_new(number) {
                    window.take(number);
                    seen.insert(number);
                }
            }
        }
    }
}
