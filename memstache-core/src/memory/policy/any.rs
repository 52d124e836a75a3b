//! Any of the policies, chosen at run time.

use std::fmt;

use super::{EvictionPolicy, Fifo, Lfu, Lru, Random, RemovalCause, S3Fifo, Sieve, SlotId, TinyLfu};

/// One of the policies of this crate, chosen at run time: see [`PolicyKind`](super::PolicyKind).
///
/// A call costs a predictable branch more than one to the policy itself.
#[derive(Debug)]
#[non_exhaustive]
#[expect(clippy::large_enum_variant, reason = "there is one for each shard, and a hit must not follow a pointer")]
pub enum AnyPolicy {
    /// Least recently used.
    Lru(Lru),
    /// Least frequently used, with an age.
    Lfu(Lfu),
    /// First in, first out.
    Fifo(Fifo),
    /// Any entry.
    Random(Random),
    /// Lazy promotion and quick demotion by one bit and a hand.
    Sieve(Sieve),
    /// Three queues: a small one for newcomers, a main one, and a ghost.
    S3Fifo(S3Fifo),
    /// Admission by estimated frequency behind a window.
    TinyLfu(TinyLfu),
    /// One of your own.
    Own(OwnPolicy),
}

/// A policy of your own among those that are chosen at run time; each call goes through a table.
pub struct OwnPolicy(Box<dyn EvictionPolicy>);

impl OwnPolicy {
    /// Wraps a policy.
    pub fn new(policy: impl EvictionPolicy) -> Self {
        Self(Box::new(policy))
    }
}

impl fmt::Debug for OwnPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnPolicy").finish_non_exhaustive()
    }
}

macro_rules! each {
    ($any:expr, $policy:ident => $call:expr) => {
        match $any {
            Self::Lru($policy) => $call,
            Self::Lfu($policy) => $call,
            Self::Fifo($policy) => $call,
            Self::Random($policy) => $call,
            Self::Sieve($policy) => $call,
            Self::S3Fifo($policy) => $call,
            Self::TinyLfu($policy) => $call,
            Self::Own(OwnPolicy($policy)) => $call,
        }
    };
}

impl AnyPolicy {
    #[inline(never)]
    fn record_access_of_others(&self, slot: SlotId, hash: u64) {
        each!(self, policy => policy.record_access(slot, hash));
    }
}

impl EvictionPolicy for AnyPolicy {
    fn record_insert(&mut self, slot: SlotId, hash: u64, weight: usize) {
        each!(self, policy => policy.record_insert(slot, hash, weight));
    }

    #[inline]
    fn record_access(&self, slot: SlotId, hash: u64) {
        match self {
            // In place: each hit comes by here, and this is the policy that most have.
            Self::TinyLfu(policy) => policy.record_access(slot, hash),
            _ => self.record_access_of_others(slot, hash),
        }
    }

    fn record_update(&mut self, slot: SlotId, hash: u64, weight: usize) {
        each!(self, policy => policy.record_update(slot, hash, weight));
    }

    fn record_remove(&mut self, slot: SlotId, hash: u64, cause: RemovalCause) {
        each!(self, policy => policy.record_remove(slot, hash, cause));
    }

    fn select_victim(&mut self) -> Option<SlotId> {
        each!(self, policy => policy.select_victim())
    }

    fn worth(&mut self, slot: SlotId) -> u32 {
        each!(self, policy => policy.worth(slot))
    }

    fn admit(&mut self, hash: u64, weight: usize, victim: SlotId) -> bool {
        each!(self, policy => policy.admit(hash, weight, victim))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::memory::policy::{
        PolicyKind,
        testing::{Anyone, Twin, check, hammer, steps},
    };

    fn inside(kind: PolicyKind, seed: u64) -> Box<dyn EvictionPolicy> {
        match kind {
            PolicyKind::Lru => Box::new(Lru::new()),
            PolicyKind::Lfu => Box::new(Lfu::new()),
            PolicyKind::Fifo => Box::new(Fifo::new()),
            PolicyKind::Random => Box::new(Random::new(seed)),
            PolicyKind::Sieve => Box::new(Sieve::new()),
            PolicyKind::S3Fifo => Box::new(S3Fifo::new()),
            PolicyKind::TinyLfu => Box::new(TinyLfu::new(1 << 20, seed)),
        }
    }

    proptest! {
        #[test]
        fn every_policy_names_residents_and_all_of_them(steps in steps(), seed in any::<u64>()) {
            for kind in PolicyKind::ALL {
                check(kind.policy(1 << 20, seed), Anyone::default(), steps.clone())?;
            }
        }

        #[test]
        fn every_policy_does_what_the_one_inside_does(steps in steps(), seed in any::<u64>()) {
            for kind in PolicyKind::ALL {
                check(kind.policy(1 << 20, seed), Twin(inside(*kind, seed)), steps.clone())?;
            }
        }
    }

    #[test]
    fn every_policy_survives_many_readers() {
        PolicyKind::ALL.iter().for_each(|kind| hammer(kind.policy(1 << 20, 1)));
    }

    #[test]
    fn an_empty_policy_names_nobody_and_ignores_strangers() {
        for kind in PolicyKind::ALL {
            let mut policy = kind.policy(1 << 20, 1);
            assert_eq!(policy.select_victim(), None);
            policy.record_access(SlotId(3), 3);
            policy.record_update(SlotId(3), 3, 7);
            policy.record_remove(SlotId(3), 0, RemovalCause::Removed);
            assert_eq!(policy.select_victim(), None, "{kind}");
        }
    }
}
