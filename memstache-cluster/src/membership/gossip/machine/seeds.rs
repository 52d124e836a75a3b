//! Where to knock: what discovery named, now and lately.

use std::net::SocketAddr;

use memstache_core::Tick;

use crate::membership::gossip::parameters::{MAX_SEEDS, SEED_MEMORY};

/// The addresses that discovery named, each with the time at which it last did.
///
/// An answer that is empty takes nothing away, and one that is partial nothing that was named lately: a provider that does
/// not know everybody at the moment must not make a node forget whom to ask.
#[derive(Debug, Default)]
pub(super) struct Seeds {
    named: Vec<(SocketAddr, Tick)>,
    /// When discovery last named anybody.
    last: Tick,
    /// What the last answer said: nothing yet, nobody else, somebody else.
    others: Option<bool>,
}

impl Seeds {
    /// Takes an answer of discovery; returns whether it names somebody new.
    pub(super) fn take(
        &mut self,
        mut answer: Vec<SocketAddr>,
        me: SocketAddr,
        now: Tick,
        rng: &mut fastrand::Rng,
    ) -> bool {
        answer.retain(|at| *at != me && at.port() != 0 && !at.ip().is_unspecified());
        answer.sort_unstable();
        answer.dedup();
        self.others = Some(!answer.is_empty());
        if answer.is_empty() {
            return false;
        }
        if answer.len() > MAX_SEEDS {
            rng.shuffle(&mut answer);
            answer.truncate(MAX_SEEDS);
            answer.sort_unstable();
        }
        let news = answer.iter().any(|at| !self.named.iter().any(|(known, _)| known == at));
        self.named.retain(|(at, when)| now.since(*when) < SEED_MEMORY && answer.binary_search(at).is_err());
        // Those that were named last stay longest.
        self.named.sort_by_key(|(_, when)| std::cmp::Reverse(*when));
        self.named.truncate(MAX_SEEDS - answer.len());
        self.named.extend(answer.into_iter().map(|at| (at, now)));
        self.last = now;
        news
    }

    /// Says that what was answered so far counts no more.
    pub(super) fn ask_anew(&mut self) {
        self.others = None;
    }

    /// Whether discovery answered, and named nobody else.
    pub(super) fn says_alone(&self) -> bool {
        self.others == Some(false) && self.named.is_empty()
    }

    /// The addresses of the last answer that named any, and those that only earlier ones did.
    pub(super) fn doors(&self) -> (Vec<SocketAddr>, Vec<SocketAddr>) {
        let (now, before): (Vec<_>, Vec<_>) = self.named.iter().partition(|(_, when)| *when == self.last);
        let at = |list: Vec<(SocketAddr, Tick)>| list.into_iter().map(|(at, _)| at).collect();
        (at(now), at(before))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(host: u8) -> SocketAddr {
        ([10, 0, 0, host], 3322).into()
    }

    fn take(seeds: &mut Seeds, hosts: &[u8], now: Tick) -> bool {
        let mut rng = fastrand::Rng::with_seed(1);
        seeds.take(hosts.iter().copied().map(at).collect(), at(1), now, &mut rng)
    }

    #[test]
    fn an_empty_or_partial_answer_takes_nothing_away() {
        let (mut seeds, now) = (Seeds::default(), Tick::from_millis(1_000));
        assert!(!seeds.says_alone(), "nobody said so");
        assert!(take(&mut seeds, &[1, 2, 3, 3], now));
        assert!(!take(&mut seeds, &[], now.after(SEED_MEMORY * 9)), "however long that is so");
        assert_eq!(seeds.doors(), (vec![at(2), at(3)], vec![]));
        let later = now.after(SEED_MEMORY - Duration::from_millis(1));
        assert!(!take(&mut seeds, &[2], later), "not new");
        assert_eq!(seeds.doors(), (vec![at(2)], vec![at(3)]));
        assert!(take(&mut seeds, &[2, 4], now.after(SEED_MEMORY)));
        assert_eq!(seeds.doors(), (vec![at(2), at(4)], vec![]), "who was not named for long is forgotten");
    }

    #[test]
    fn who_names_only_this_node_or_nonsense_names_nobody() {
        let (mut seeds, now) = (Seeds::default(), Tick::from_millis(1_000));
        assert!(!take(&mut seeds, &[1], now) && seeds.says_alone());
        let mut rng = fastrand::Rng::with_seed(1);
        let nonsense = vec![SocketAddr::from(([0, 0, 0, 0], 1)), SocketAddr::from(([10, 0, 0, 9], 0))];
        assert!(!seeds.take(nonsense, at(1), now, &mut rng) && seeds.says_alone());
        seeds.ask_anew();
        assert!(!seeds.says_alone());
    }

    #[test]
    fn there_are_never_too_many() {
        let mut seeds = Seeds::default();
        let mut rng = fastrand::Rng::with_seed(1);
        for round in 0..3_u16 {
            let many = (0..3_000).map(|n| SocketAddr::from(([10, 1, 1, 1], 1 + n + round * 3_000))).collect();
            assert!(seeds.take(many, at(1), Tick::from_millis(u64::from(round)), &mut rng));
            let (now, before) = seeds.doors();
            assert_eq!((now.len(), before.len()), (MAX_SEEDS, 0));
        }
    }
}
