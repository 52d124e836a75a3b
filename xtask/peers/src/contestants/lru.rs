//! An exact LRU over the whole cache, as the textbook has it.

use super::{Player, Role, Simulated};

const NONE: u32 = u32::MAX;

pub(super) fn player() -> Player {
    Player { name: "LRU (exact)", role: Role::Peer, make: |capacity, keys| Box::new(Lru::new(capacity, keys)), from: 0 }
}

/// A doubly linked ring over all keys; the key after the last is its anchor.
pub(super) struct Lru {
    newer: Vec<u32>,
    older: Vec<u32>,
    len: usize,
    capacity: usize,
}

impl Lru {
    pub(super) fn new(capacity: usize, keys: usize) -> Self {
        let mut ring = Self { newer: vec![NONE; keys + 1], older: vec![NONE; keys + 1], len: 0, capacity };
        ring.newer[keys] = keys as u32;
        ring.older[keys] = keys as u32;
        ring
    }

    fn anchor(&self) -> u32 {
        (self.newer.len() - 1) as u32
    }

    fn unlink(&mut self, key: u32) {
        let (newer, older) = (self.newer[key as usize], self.older[key as usize]);
        self.older[newer as usize] = older;
        self.newer[older as usize] = newer;
        self.newer[key as usize] = NONE;
    }

    fn push(&mut self, key: u32) {
        let anchor = self.anchor();
        let newest = self.older[anchor as usize];
        self.older[key as usize] = newest;
        self.newer[key as usize] = anchor;
        self.newer[newest as usize] = key;
        self.older[anchor as usize] = key;
    }
}

impl Simulated for Lru {
    fn request(&mut self, key: u32) -> bool {
        let hit = self.newer[key as usize] != NONE;
        if hit {
            self.unlink(key);
        } else if self.len == self.capacity {
            self.unlink(self.newer[self.anchor() as usize]);
        } else {
            self.len += 1;
        }
        self.push(key);
        hit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evicts_like_a_naive_list() {
        let mut rng = fastrand::Rng::with_seed(7);
        for capacity in [1, 2, 5, 19] {
            let mut lru = Lru::new(capacity, 20);
            let mut naive: Vec<u32> = Vec::new();
            for _ in 0..2_000 {
                let key = rng.u32(..20);
                let held = naive.iter().position(|it| *it == key);
                assert_eq!(lru.request(key), held.is_some());
                match held {
                    Some(at) => drop(naive.remove(at)),
                    None if naive.len() == capacity => drop(naive.remove(0)),
                    None => {}
                }
                naive.push(key);
            }
        }
    }
}
