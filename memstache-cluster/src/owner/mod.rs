//! What a node does with the keys that are its own.

mod apart;
mod changes;
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
mod refusals;
mod replicas;
mod serve;
mod served;

#[cfg(any(test, feature = "test-util"))]
pub use self::planted::Faults;
pub(crate) use self::{
    home::Rounds,
    hot::{HotRead, MOST_HOT_KEYS},
    local::{Local, Surroundings},
    replicas::{Replication, promote, push_anew},
    serve::{Refused, forget_owned, run_owned},
    served::Served,
};
