//! Canaries: keys, tenants and classes show up in no log, error, `Debug` or record.

use std::{
    fmt::{self, Write as _},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use memstache_core::{Expected, RecordPrefix, RecordStore, TenantId, TenantKeys, testing::ManualClock};
use memstache_crypto::{
    DataKeys, KeyClass, KeyId, KeyManagement, KeyOwner, KeyProvider, Keyring, Random, Secret, Shredder, StaticProvider,
};

use crate::{
    kit::{HOUR, World, sealing, space},
    log::{self, Log},
};

const TENANT: &str = "canary-of-the-tenant";
const KEYSPACE: &str = "canary-of-the-keyspace";
const CLASS: &str = "canary-of-the-class";
const MASTER: [u8; 32] = *b"canary-of-the-master-key-1234567";
const KEY: &[u8; 24] = b"canary-of-a-key-and-more";

/// Randomness that is a canary and a number.
#[derive(Debug, Default)]
struct Canaries(AtomicU32);

impl Random for Canaries {
    fn fill(&self, out: &mut [u8]) -> memstache_core::Result<()> {
        let number = self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let bytes: Vec<u8> = KEY.iter().chain(&number).chain(&[7; 4]).copied().collect();
        // A nonce is no secret.
        let from = if out.len() == 32 { &bytes[..] } else { &bytes[20..] };
        out.iter_mut().zip(from.iter().cycle()).for_each(|(out, byte)| *out = *byte);
        Ok(())
    }
}

fn canaries() -> [&'static [u8]; 5] {
    [TENANT.as_bytes(), KEYSPACE.as_bytes(), CLASS.as_bytes(), &MASTER, KEY]
}

#[track_caller]
fn assert_clean(text: &str) {
    log::assert_clean(text, &canaries());
}

#[tokio::test]
async fn no_secret_and_no_name_is_said_or_stored_in_the_open() {
    let log = Log::default();
    let _default = tracing::subscriber::set_default(log.clone());
    let mut said = String::new();
    let mut say = |what: &dyn fmt::Debug| writeln!(said, "{what:?}\n{what:#?}").unwrap();

    let world = World::new();
    let provider = StaticProvider::dangerous_from_secrets([Secret::from_bytes(MASTER)]).unwrap();
    let records = Arc::clone(&world.records) as Arc<dyn RecordStore>;
    let builder = Keyring::builder("test", records, Arc::new(provider.clone()))
        .with_clock(Arc::new(world.clock.clone()) as Arc<ManualClock>)
        .with_random(Arc::new(Canaries::default()))
        .with_blind_names()
        .with_class(KEYSPACE.try_into().unwrap(), KeyClass::new(CLASS).unwrap());
    say(&builder);
    let node = builder.open().await.unwrap();
    let space = space(TENANT, KEYSPACE);
    let tenant = TenantId::new(TENANT).unwrap();
    let owner = KeyOwner::tenant(tenant.clone()).with_class(KeyClass::new(CLASS).unwrap());
    let lookup = node.sealing(&space);
    say(&lookup);
    node.prepare(&space).await.unwrap();
    let id = sealing(&node, &space).await.unwrap();
    let (sealing, opening) = (node.sealing(&space), node.opening(&space, KeyId::from_bytes([1; 16])));
    say(&(&sealing, &opening, node.naming(&space), &owner, &provider, &node, &id));
    drop((lookup, sealing, opening));

    say(&node.rotate_derived(&owner).await);
    say(&node.rotate_branch().await);
    say(&node.rotate_master_key(None).await);
    say(&node.status(&owner).await);
    say(&node.branch_status().await);
    say(&node.get_master_key(None).await);
    say(&node.generate_derived_key(&owner, None).await);
    say(&node.retire(&owner, id).await);
    say(&node.revoke(&owner, id).await);
    let master = provider.current().await.unwrap();
    say(&provider.wrap(&master, &Secret::from_bytes(MASTER), b"").await);
    let task = node.run();
    say(&task);

    for (key, record) in world.records.list(&RecordPrefix::ALL).await.unwrap() {
        let class = key.as_str().replace(CLASS, "");
        assert_clean(&class);
        for canary in canaries() {
            assert!(!record.value.windows(8).any(|run| run == &canary[..8]), "a canary in a record");
        }
        if !record.value.starts_with(b"MSKR") {
            continue;
        }
        let mut bad = record.value.to_vec();
        bad[60] ^= 1;
        world.records.put(&key, bad.into(), Expected::Any).await.unwrap();
    }
    world.clock.advance(HOUR);
    say(&node.refresh().await);
    say(&node.status(&owner).await);
    say(&Shredder::new(node.clone()));
    say(&Shredder::new(node.clone()).shred(&tenant).await);
    say(&KeyClass::new(format!("{CLASS} {CLASS}")));
    say(&Keyring::builder(&format!("{TENANT} "), Arc::clone(&world.records) as _, Arc::new(provider)).open().await);

    assert!(said.contains("Rejected"), "the damage was noticed");
    assert_clean(&said);
    let log = log.text();
    assert!(log.contains("refused"), "{log}");
    assert_clean(&log);
}
