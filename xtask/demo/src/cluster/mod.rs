//! A cluster: nodes that are processes of their own share the products; one is killed under load, another joins.

mod agreement;
mod certificates;
mod child;
mod discovery;
mod evidence;
mod load;
mod node;
mod run;
mod setup;
mod table;
mod tally;

pub(crate) use self::{
    node::{WORD, run as node},
    run::{run, try_it},
};
