//! What a node does with the keys that are its own.

mod apart;
mod fetch;
mod flush;
mod guard;
mod handover;
mod herd;
mod home;
mod hot;
mod local;
mod octets;
#[cfg(any(test, feature = "test-util"))]
mod planted;
mod replicas;
mod serve;
mod served;

#[cfg(any(test, feature = "test-util"))]
pub use self::planted::Faults;
pub(crate) use self::{
    home::Rounds,
    hot::{HotRead, MOST_HOT_KEYS},
    local::{Local, Surroundings},
    replicas::{Copies, Replication, promote, push_anew},
    serve::{Refused, run_owned},
    served::Served,
};
