//! Parts for tests (feature `test-util`).

mod clock;

pub use self::clock::ManualClock;
