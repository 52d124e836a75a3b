//! The last sequence that was read of each tenant's line.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use memstache_core::Sequence;
use parking_lot::RwLock;

/// Tenants that are remembered; who is forgotten costs a second round trip with the next write.
const MOST: usize = 65_536;

/// Where a line lies on another server than the entries, a write goes out under the last sequence that is known, and the
/// line is read meanwhile: only if it has moved, the write is corrected.
#[derive(Debug, Default)]
pub(super) struct Known(RwLock<HashMap<String, u64, RandomState>>);

impl Known {
    pub(super) fn get(&self, tenant: &str) -> Sequence {
        Sequence(self.0.read().get(tenant).copied().unwrap_or(0))
    }

    pub(super) fn note(&self, tenant: &str, sequence: Sequence) {
        if self.get(tenant) == sequence {
            return;
        }
        let mut known = self.0.write();
        if known.len() >= MOST && !known.contains_key(tenant) {
            known.clear();
        }
        known.insert(tenant.to_owned(), sequence.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_a_bounded_number() {
        let known = Known::default();
        assert_eq!(known.get("a"), Sequence(0));
        for n in 0..MOST + 10 {
            known.note(&n.to_string(), Sequence(7));
        }
        assert!(known.0.read().len() <= MOST);
        assert_eq!(known.get(&(MOST + 9).to_string()), Sequence(7));
    }
}
