//! Evicts by recency or by frequency, whichever would have hit more.
//!
//! Residents are divided into a window by recency and a main queue ([`split`]); from the window an entry goes on if it
//! was used more often than the one that would go instead (TinyLFU: Einziger, Friedman and Manes, ACM TOS 2017), or if
//! it was used twice (S3-FIFO: Yang et al., SOSP 2023). No share of the window is right for everyone (Einziger et al.,
//! Adaptive software cache management, Middleware 2018): loops want next to none, recency wants the whole. So five
//! divisions run side by side on a hashed sample of the requests, keys only, each a miniature of the store
//! (Waldspurger et al., Cache modeling and optimization using miniature simulations, ATC 2017), and the store follows
//! the one that hits most ([`trial`]).

mod ghosts;
mod queues;
mod ring;
mod shadow;
mod slots;
mod split;
mod state;
mod trial;

#[cfg(test)]
mod tests;

use std::fmt;

use self::{
    ring::Ring,
    slots::{Residents, rounded},
    split::Split,
    trial::{DIVISIONS, FIRST, Trial},
};
use super::{EvictionPolicy, RemovalCause, SlotId};

/// How many samples one insertion serves at most, beside its own key.
const REPLAYS: usize = 32;

/// W-TinyLFU with an adaptive window: evicts by recency or by frequency, whichever would have hit more.
///
/// Newcomers enter a window, which is ordered by recency. At its end an entry goes on to the main queue if it was used
/// more often than the one that would have to go there, counting the uses before it was last evicted: Einziger,
/// Friedman and Manes, [TinyLFU] (ACM TOS 2017). How large a window is best depends on the requests, from next to
/// nothing for loops to the whole for recency: Einziger et al., [Adaptive software cache management] (Middleware 2018).
/// So five divisions are tried, all the time, by miniatures of the shard that hold only the keys of a hashed sample:
/// Waldspurger et al., [Cache modeling and optimization using miniature simulations] (ATC 2017). Four are windows of 1,
/// 10, 40 and 100 per cent; in the fifth, like in [S3-FIFO] (Yang et al., SOSP 2023), a second use is enough to go on.
/// The shard follows the one that hits most.
///
/// Good for everything that one of the five is good for, and for changes between those. A shard needs some 20 requests
/// an entry to find out, and to follow a change. Shards of fewer than 32 entries are not divided anew.
///
/// A hit reads two bytes and writes them if there is news; of a shard's keys one in many is sampled, whose hits are
/// also put where the next insertions serve them. Victims take amortised constant time: at most some hundred steps, and
/// one for each entry that was removed before its turn. An insertion serves at most 32 samples. About 15 bytes an entry
/// from 10,000 on, 40 of 1,000 and 100 of 500 or fewer. Weights count up to 2 GiB, and within an eighth.
///
/// [TinyLFU]: https://doi.org/10.1145/3149371
/// [Adaptive software cache management]: https://doi.org/10.1145/3274808.3274816
/// [Cache modeling and optimization using miniature simulations]: https://www.usenix.org/conference/atc17/technical-sessions/presentation/waldspurger
/// [S3-FIFO]: https://doi.org/10.1145/3600006.3613147
pub struct TinyLfu {
    split: Split<Residents>,
    trial: Trial,
    ring: Ring,
    seed: u64,
}

impl TinyLfu {
    /// Creates an empty policy; the seed decides which keys are sampled.
    ///
    /// Everything is sized by the entries that are there, so that the shard's share of the capacity decides nothing.
    pub fn new(_share_bytes: usize, seed: u64) -> Self {
        let split = Split::new(DIVISIONS[FIRST], Residents::new());
        Self { split, trial: Trial::new(), ring: Ring::new(), seed }
    }

    /// Returns how many bytes are held on the heap.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        Residents::bytes(self.split.end) + self.split.ghosts.bytes() + self.trial.bytes() + self.ring.bytes()
    }

    /// Returns 32 bits of a hash, spread anew: a caller's hash may be weak in some bits, or known to an attacker.
    const fn print(&self, hash: u64) -> u32 {
        let product = (hash ^ self.seed) as u128 * 0x9e37_79b9_7f4a_7c15;
        ((product >> 64) as u64 ^ product as u64) as u32
    }

    /// Lets the miniatures serve a miss; the hits before it that still wait come first.
    fn miss(&mut self, print: u32) {
        for _ in 0..REPLAYS {
            match self.ring.pop() {
                Some(print) => self.trial.request(print),
                None if self.trial.samples(print) => return self.trial.request(print),
                None => return,
            }
        }
        if self.trial.samples(print) {
            self.ring.push(print);
        }
    }
}

impl fmt::Debug for TinyLfu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TinyLfu")
            .field("len", &self.split.len())
            .field("division", &self.split.division())
            .finish_non_exhaustive()
    }
}

impl EvictionPolicy for TinyLfu {
    fn record_insert(&mut self, slot: SlotId, hash: u64, weight: usize) {
        let print = self.print(hash);
        self.miss(print);
        self.split.divide(self.trial.best());
        self.split.insert(slot.0, print, weight);
        self.trial.add(print);
        self.ring.reserve(self.trial.sampled());
    }

    #[inline]
    fn record_access(&self, slot: SlotId, hash: u64) {
        self.split.access(slot.0);
        let print = self.print(hash);
        if self.trial.samples(print) {
            self.ring.push(print);
        }
    }

    fn record_update(&mut self, slot: SlotId, hash: u64, weight: usize) {
        self.split.reweigh(slot.0, weight);
        self.record_access(slot, hash);
    }

    fn record_remove(&mut self, slot: SlotId, hash: u64, cause: RemovalCause) {
        let print = self.print(hash);
        if self.split.remove(slot.0, print, cause == RemovalCause::Evicted) {
            self.trial.subtract(print);
        }
    }

    fn worth(&mut self, slot: SlotId) -> u32 {
        self.split.count(slot.0).into()
    }

    fn select_victim(&mut self) -> Option<SlotId> {
        self.split.victim().map(SlotId)
    }

    fn admit(&mut self, hash: u64, weight: usize, victim: SlotId) -> bool {
        let print = self.print(hash);
        let admitted = self.split.admits(print, rounded(weight), victim.0);
        if !admitted {
            self.miss(print);
        }
        admitted
    }
}
