//! Which keys are read most.

mod reads;
mod sketch;

pub(crate) use self::reads::{HotRead, MOST_HOT_KEYS, Reads};
