//! What a blind name costs beside a plain one.

use memstache_core::{KeyspaceName, Parts, PlainNamer, Space, TenantId};
use memstache_crypto::{BlindNames, FixedKeys, Secret};

use crate::rows::{Row, interleave};

pub(crate) fn run(rounds: usize) {
    let tenant = TenantId::new("acme").unwrap();
    let space = Space::new(Some(&tenant), &KeyspaceName::new("products").unwrap());
    let keys = FixedKeys::dangerous_per_tenant([(tenant, Secret::from_bytes([1; 32]))]).unwrap();
    let (blind, parts) = (BlindNames::new(keys), Parts::new(&space, b"product/1234567").unwrap());
    let mut rows = [Row::new(|_| parts.to_address(&PlainNamer::default())), Row::new(|_| parts.to_address(&blind))];
    interleave(rounds, &mut rows);
    println!("\n## Names\n\nplain {:.0} ns, blind {:.0} ns", rows[0].median(), rows[1].median());
}
