//! Whole stacks: the conformance suite over the memory store with and without a near cache, and the order rules.

mod conformance;
mod order;
