//! Tests over real servers. Which ones is said by variables of the environment; see `kit`.

mod conformance;
mod kit;
