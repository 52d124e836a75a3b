//! Who told of themselves, and when.

use std::net::SocketAddr;

use memstache_core::Tick;

/// The most addresses that are kept in mind.
pub(super) const MAX: usize = 4096;

/// The nodes that told of themselves lately.
#[derive(Debug, Default)]
pub(super) struct Table(Vec<(SocketAddr, Tick)>);

impl Table {
    /// Takes note of a node until then; returns whether it is new. One that is one too many is none.
    pub(super) fn add(&mut self, at: SocketAddr, until: Tick) -> bool {
        match self.0.binary_search_by_key(&at, |(at, _)| *at) {
            Ok(place) => self.0[place].1 = until,
            Err(place) if self.0.len() < MAX => {
                self.0.insert(place, (at, until));
                return true;
            }
            Err(_) => {}
        }
        false
    }

    /// Forgets a node; returns whether it was known.
    pub(super) fn remove(&mut self, at: SocketAddr) -> bool {
        let place = self.0.binary_search_by_key(&at, |(at, _)| *at);
        place.map(|place| self.0.remove(place)).is_ok()
    }

    /// Forgets who was silent for too long; returns whether that was anybody.
    pub(super) fn expire(&mut self, now: Tick) -> bool {
        let before = self.0.len();
        self.0.retain(|(_, until)| *until > now);
        self.0.len() != before
    }

    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.0.iter().map(|(at, _)| *at).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(port: u16) -> SocketAddr {
        ([10, 0, 0, 1], port).into()
    }

    #[test]
    fn nodes_come_go_and_fall_silent() {
        let (mut table, until) = (Table::default(), Tick::from_millis);
        assert!(table.add(at(2), until(10)) && table.add(at(1), until(20)) && !table.add(at(2), until(30)));
        assert_eq!(table.addresses(), [at(1), at(2)]);
        assert!(!table.expire(until(19)) && table.expire(until(20)));
        assert_eq!(table.addresses(), [at(2)]);
        assert!(table.remove(at(2)) && !table.remove(at(2)));
    }

    #[test]
    fn there_are_never_too_many() {
        let mut table = Table::default();
        let new = (1..=5000).filter(|port| table.add(at(*port), Tick::from_millis(9))).count();
        assert_eq!((new, table.addresses().len()), (MAX, MAX));
        assert!(!table.add(at(1), Tick::from_millis(99)) && !table.expire(Tick::from_millis(8)));
    }
}
