//! Numbers that order what happens to an entry: its writes, and its space's invalidations.

/// Which write of a key a value is; greater is later. Given by the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

/// A point in a space's line of invalidations (tags and clears); greater is later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(pub u64);
