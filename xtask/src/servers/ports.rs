//! Ports that nobody listens on.

use std::{
    net::{Ipv4Addr, TcpListener},
    process,
    sync::atomic::{AtomicU16, Ordering},
    time::SystemTime,
};

use anyhow::{Result, bail};

/// Below those that systems give to outgoing connections: a server that is started anew finds its port still free.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// The last offset that was tried, plus one; 0 before the first.
static CURSOR: AtomicU16 = AtomicU16::new(0);

/// So many ports on loopback, each of them never given by this process before.
pub(super) fn take(count: usize) -> Result<Vec<u16>> {
    // Other processes that do the same begin elsewhere.
    let _ = CURSOR.compare_exchange(0, somewhere(), Ordering::Relaxed, Ordering::Relaxed);
    let mut ports = Vec::with_capacity(count);
    for _ in 0..COUNT {
        if ports.len() == count {
            return Ok(ports);
        }
        let port = FIRST + CURSOR.fetch_add(1, Ordering::Relaxed) % COUNT;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            ports.push(port);
        }
    }
    bail!("no {count} free ports on 127.0.0.1 from {FIRST} to {}", FIRST + COUNT - 1)
}

fn somewhere() -> u16 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let mixed = now.subsec_nanos().wrapping_mul(0x9e37_79b1) ^ process::id().wrapping_mul(0x85eb_ca6b);
    1 + u16::try_from((mixed >> 8) % u32::from(COUNT - 1)).expect("less than a u16")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_port_is_given_twice() {
        let ports: Vec<_> = (0..5).flat_map(|_| take(4).unwrap()).collect();
        assert_eq!(ports.iter().collect::<BTreeSet<_>>().len(), 20);
        assert!(ports.iter().all(|port| (FIRST..FIRST + COUNT).contains(port)));
    }

    #[test]
    fn a_port_that_is_in_use_is_passed_by() {
        let taken: Vec<_> = take(3).unwrap();
        let next = taken[2] + 1;
        let _held = TcpListener::bind((Ipv4Addr::LOCALHOST, next));
        assert!(!take(3).unwrap().contains(&next));
    }

    #[test]
    fn more_than_there_are_is_an_error() {
        assert!(take(usize::from(COUNT) + 1).unwrap_err().to_string().contains("free ports"));
    }
}
