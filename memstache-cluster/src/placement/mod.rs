//! Which node owns which key: pure, and computed alike on every node.
//!
//! A stored key falls into one of 16,384 partitions by one hash. Each partition goes to the member with the best score of
//! a weighted rendezvous (Thaler and Ravishankar 1998; weights by `-ln(u)/w`, Schindelhauer and Schomaker 2005) that still
//! has room: no member takes more than 1.1 times its fair share (bounded loads, Mirrokni et al. 2018). All arithmetic is
//! on integers, so that no two machines differ.

mod build;
mod capacity;
mod change;
mod partition;
mod score;
mod table;

pub use self::{
    change::{Change, Moved},
    partition::{PARTITIONS, Partition, partition_of},
    table::Table,
};
