//! Parts for tests (feature `test-util`).

mod clock;
pub mod conformance;
mod naive;
pub mod records;

pub use self::{
    clock::ManualClock,
    naive::{NaiveStore, Sabotage},
};
