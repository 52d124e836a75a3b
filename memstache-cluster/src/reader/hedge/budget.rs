//! How many reads may be hedged.

/// Reads that pay for one that is hedged.
const PRICE: u32 = 20;
/// Hedged reads that may be saved up, for a burst.
const MOST: u32 = 10;

/// What reads have earned for those that are hedged: 5 % of them. Pure.
#[derive(Debug, Default)]
pub(super) struct Budget {
    /// In parts of a hedged read: `PRICE` to one.
    parts: u32,
}

impl Budget {
    /// A read has begun.
    pub(super) fn earn(&mut self) {
        self.parts = (self.parts + 1).min(MOST * PRICE);
    }

    /// Takes what one hedged read costs, if it is there.
    pub(super) fn spend(&mut self) -> bool {
        let enough = self.parts >= PRICE;
        if enough {
            self.parts -= PRICE;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_earned_and_saved_up_to_a_bound() {
        let mut budget = Budget::default();
        (0..19).for_each(|_| budget.earn());
        assert!(!budget.spend());
        budget.earn();
        assert!(budget.spend() && !budget.spend());
        (0..1_000_000).for_each(|_| budget.earn());
        let burst = (0..100).filter(|_| budget.spend()).count();
        assert_eq!(burst, 10);
    }
}
