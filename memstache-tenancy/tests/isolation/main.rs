//! What one tenant can learn of another, and do to it, through one stack: nothing.
//!
//! The table of operations is the whole API of a handle; memstache-redis runs it over servers.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

/// A test over each stack, with the one list of them.
macro_rules! over_every_stack {
    ($kind:ident => $test:expr) => {
        over_every_stack! { @ $kind => $test;
            over_the_naive_store: Naive,
            over_memory: Memory,
            over_memory_and_near: Near,
            over_a_seal: Sealed,
            over_a_seal_and_near: SealedNear,
            over_blind_names: Blind,
            over_blind_names_a_seal_and_near: BlindSealedNear,
            #[cfg(feature = "quota")]
            over_all_layers_and_a_quota: Whole,
        }
    };
    (@ $kind:ident => $test:expr; $($(#[$if:meta])? $name:ident: $stack:ident,)*) => {$(
        $(#[$if])?
        #[tokio::test(start_paused = true)]
        async fn $name() {
            let $kind = Kind::$stack;
            $test.await;
        }
    )*};
}

mod closed;
mod degraded;
mod explain;
mod flights;
mod kit;
mod names;
mod operations;
mod owned;
mod shred;
mod stacks;
mod swapped;
mod traces;
