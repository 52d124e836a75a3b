//! What it costs to find a key at hand, among few and among many.

use std::{hint::black_box, sync::Arc};

use memstache_core::{KeyspaceName, MemoryRecords, Space, TenantId};
use memstache_crypto::{DataKeys, KeyLookup, Keyring, Secret, StaticProvider};

use crate::rows::{Row, interleave};

pub(crate) fn run(rounds: usize) {
    println!("\n## Keys at hand\n\n| tenants | to seal ns | to open ns | to name ns |\n| ---: | ---: | ---: | ---: |");
    for tenants in [10, 5_000] {
        let (keyring, spaces) = filled(tenants);
        let space = |round: usize| &spaces[round % spaces.len()];
        let ids: Vec<_> = spaces.iter().map(|space| id(keyring.sealing(space))).collect();
        let mut rows = [
            Row::new(|round| black_box(keyring.sealing(space(round)))),
            Row::new(|round| black_box(keyring.opening(space(round), ids[round % ids.len()]))),
        ];
        interleave(rounds, &mut rows);
        let mut name = [Row::new(|round| black_box(keyring.naming(space(round))))];
        interleave(rounds, &mut name);
        println!("| {tenants} | {:.0} | {:.0} | {:.0} |", rows[0].median(), rows[1].median(), name[0].median());
    }
}

fn filled(tenants: usize) -> (Keyring, Vec<Space>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let provider = StaticProvider::dangerous_from_secrets([Secret::from_bytes([1; 32])]).unwrap();
        let builder = Keyring::builder("bench", Arc::new(MemoryRecords::new()), Arc::new(provider));
        let keyring = builder.with_blind_names().open().await.unwrap();
        let keyspace = KeyspaceName::new("products").unwrap();
        let mut spaces = Vec::new();
        for tenant in 0..tenants {
            let tenant = TenantId::new(format!("tenant-{tenant}")).unwrap();
            spaces.push(Space::new(Some(&tenant), &keyspace));
            keyring.prepare(spaces.last().unwrap()).await.unwrap();
        }
        (keyring, spaces)
    })
}

fn id(lookup: KeyLookup) -> memstache_crypto::KeyId {
    match lookup {
        KeyLookup::Ready(key) => key.id(),
        other => panic!("not at hand: {other:?}"),
    }
}
