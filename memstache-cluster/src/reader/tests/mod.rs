//! Several nodes in one process, joined by a hub that can be broken.

mod alone;
mod changes;
mod coherence;
mod conformance;
mod faults;
mod gone;
mod hot;
mod hub;
mod joining;
mod keyspaces;
#[path = "../../../tests/engine/kit.rs"]
#[allow(dead_code, clippy::unwrap_used, reason = "shared with the tests beside the crate")]
mod kit;
mod large;
mod lost;
mod replicas;
mod steady;
mod tags;
mod warming;

use self::hub::Nodes;
