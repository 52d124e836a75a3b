//! What a node does with the keys that are its own.

mod apart;
mod changes;
mod fetch;
mod guard;
mod handover;
mod home;
mod hot;
mod local;
mod octets;
#[cfg(any(test, feature = "test-util"))]
mod planted;
mod serve;
mod served;

#[cfg(any(test, feature = "test-util"))]
pub use self::planted::Faults;
pub(crate) use self::{
    home::Rounds,
    hot::{HotRead, MOST_HOT_KEYS},
    local::{Local, Surroundings},
    serve::{Refused, forget_owned, run_owned},
    served::Served,
};
