//! What a node does with the keys that are its own.

mod apart;
mod fetch;
mod guard;
mod handover;
mod home;
mod local;
mod octets;
mod serve;
mod served;

pub(crate) use self::{
    home::Rounds,
    local::{Local, Surroundings},
    serve::{Refused, run_owned},
    served::Served,
};
