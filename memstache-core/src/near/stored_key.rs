//! A stored key that says the parts of its address.

use std::hash::{Hash, Hasher};

use crate::{address::hash_of_space, memory::Key};

/// A plain stored key, taken apart.
pub(super) struct StoredKey<'a> {
    space: &'a [u8],
    name: &'a [u8],
}

impl<'a> StoredKey<'a> {
    /// Labels have no colon, so the second one ends the space.
    pub(super) fn parse(stored: &'a [u8]) -> Option<Self> {
        let mut colons = stored.iter().enumerate().filter(|(_, byte)| **byte == b':').map(|(at, _)| at);
        let end = colons.nth(1)? + 1;
        Some(Self { space: &stored[..end], name: &stored[end..] })
    }
}

impl Hash for StoredKey<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(hash_of_space(self.space));
        state.write(self.name);
    }
}

impl Key for StoredKey<'_> {
    fn space_key(&self) -> &[u8] {
        self.space
    }

    fn name(&self) -> &[u8] {
        self.name
    }
}
