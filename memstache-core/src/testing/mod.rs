//! Parts for tests (feature `test-util`).

mod clock;
pub mod records;

pub use self::clock::ManualClock;
