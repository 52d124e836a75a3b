//! Tenants that bring vaults of their own.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use memstache_core::{
    Cache, Error, ErrorKind, Json, MemoryStore, RecordPrefix, RecordStore, Result, Stack, TenantId, TenantKeys,
};
use memstache_crypto::{
    BlindNames, Custody, DataKeys, KeyFailure, KeyLookup, KeyManagement, KeyOwner, Keyring, KeyringBuilder,
    ProviderError, ProviderErrorKind, Seal, Shredder, TenantVaults,
};
use parking_lot::Mutex;

use crate::kit::{DAY, HOUR, MINUTE, Vault, World, is_ready, opening, sealing, settle, space, yield_often};

/// What is answered of whose vault protects a tenant.
#[derive(Clone, Debug)]
enum Answer {
    Own(Vault),
    Fails,
    Hangs,
    Panics,
}

/// A register of tenants that can be changed, counts its calls, and fails as it is told.
#[derive(Clone, Debug, Default)]
struct Register {
    answers: Arc<Mutex<Vec<(&'static str, Answer)>>>,
    asked: Arc<AtomicUsize>,
}

impl Register {
    fn set(&self, tenant: &'static str, answer: impl Into<Option<Answer>>) {
        let mut answers = self.answers.lock();
        answers.retain(|(other, _)| *other != tenant);
        answers.extend(answer.into().map(|answer| (tenant, answer)));
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl TenantVaults for Register {
    async fn custody(&self, tenant: &TenantId) -> Result<Custody> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let found = self.answers.lock().iter().find(|(name, _)| *name == tenant.as_str()).cloned();
        match found {
            None => Ok(Custody::House),
            Some((_, Answer::Own(vault))) => Ok(Custody::Own(Arc::new(vault))),
            Some((_, Answer::Fails)) => Err(Error::new(ErrorKind::Unavailable, "the register is gone")),
            Some((_, Answer::Hangs)) => std::future::pending().await,
            Some((_, Answer::Panics)) => panic!("a bug"),
        }
    }
}

/// An environment in which acme has a vault of its own.
struct Own {
    world: World,
    register: Register,
    vault: Vault,
}

impl Own {
    fn new() -> Self {
        let (register, vault) = (Register::default(), Vault::named("vault-of-acme", 2));
        register.set("acme", Answer::Own(vault.clone()));
        Self { world: World::new(), register, vault }
    }

    fn builder(&self) -> KeyringBuilder {
        self.world.builder().with_tenant_vaults(self.register.clone())
    }

    async fn node(&self) -> Keyring {
        self.builder().open().await.unwrap()
    }

    /// The texts of all records whose place holds something, as anybody reads them.
    async fn records(&self, with: &str) -> Vec<String> {
        let all = self.world.records.list(&RecordPrefix::ALL).await.unwrap().into_iter();
        let with = all.filter(|(key, _)| key.as_str().contains(with));
        with.map(|(_, record)| String::from_utf8_lossy(&record.value).into_owned()).collect()
    }
}

fn acme() -> TenantId {
    TenantId::new("acme").unwrap()
}

fn down() -> ProviderError {
    ProviderError::new(ProviderErrorKind::Unavailable, "a test")
}

fn is_unavailable<T: std::fmt::Debug>(result: &Result<T, KeyFailure>) -> bool {
    matches!(result, Err(KeyFailure::Unavailable { .. }))
}

#[tokio::test]
async fn a_tenants_keys_are_under_its_own_vault_and_its_records_say_so() {
    let own = Own::new();
    let node = own.node().await;
    let (theirs, other) = (space("acme", "products"), space("globex", "products"));
    let id = sealing(&node, &theirs).await.unwrap();
    let house = own.world.vault.calls();
    sealing(&node, &other).await.unwrap();
    sealing(&node, &space("", "products")).await.unwrap();
    assert_eq!(own.world.vault.calls(), house, "the vault of the house was asked at the start alone");
    assert!(own.vault.calls() > 0);

    let (KeyLookup::Ready(key), KeyLookup::Ready(of_house)) = (node.sealing(&theirs), node.sealing(&other)) else {
        panic!("both are at hand");
    };
    assert!(key.is_committing(), "a tenant could have chosen two keys that open the same bytes");
    assert!(!of_house.is_committing());
    let branches = own.records("/branch").await;
    assert_eq!(branches.len(), 2);
    let says = |name: &str| branches.iter().filter(|text| text.contains(name)).count();
    assert_eq!((says("house"), says("vault-of-acme")), (1, 1), "which vault wrapped it");
    assert_eq!(own.records("/vaults/").await.len(), 2, "its branch and its line");
    assert!(own.world.keys().await.iter().all(|key| !key.as_str().contains("acme")));

    // Another node, and one that starts: the same key, and never for others.
    let late = own.node().await;
    assert_eq!(opening(&late, &theirs, id).await, Ok(id));
    assert_eq!(opening(&late, &other, id).await, Err(KeyFailure::Unknown));
    assert_eq!(late.stats().tenant_vaults, 1);
    let mut lent = None;
    assert!(late.lend(&theirs, Some(id), &mut |key| lent = Some(key.id())) && lent == Some(id));
    assert!(!late.lend(&other, Some(id), &mut |_| panic!("not another tenant's")));
}

#[tokio::test]
async fn a_dead_vault_costs_its_tenant_all_keys_and_the_others_nothing() {
    let own = Own::new();
    own.vault.fail(down());
    let node = own.node().await;
    let (theirs, other) = (space("acme", "products"), space("globex", "products"));
    assert!(is_unavailable(&sealing(&node, &theirs).await));
    let id = sealing(&node, &other).await.unwrap();
    let calls = own.vault.calls();
    for _ in 0..100 {
        assert!(is_unavailable(&sealing(&node, &theirs).await), "never under another vault");
        assert!(is_unavailable(&opening(&node, &theirs, id).await));
        assert!(is_ready(&node.sealing(&other)));
    }
    assert_eq!(own.vault.calls(), calls, "no request calls a vault that failed");
    node.refresh().await.unwrap();
    assert_eq!(own.world.keys().await.len(), 2, "a branch and a line of the house: nothing of acme");
    assert_eq!((node.stats().tenant_vaults, node.stats().failed_tenant_vaults), (1, 1));

    own.vault.fail(None);
    own.world.clock.advance(MINUTE);
    node.refresh().await.unwrap();
    sealing(&node, &theirs).await.unwrap();
    assert_eq!(node.stats().failed_tenant_vaults, 0);
}

#[tokio::test]
async fn a_vault_that_hangs_holds_up_its_own_tenant_and_nobody_else() {
    let own = Own::new();
    own.vault.hang(true);
    let node = own.builder().with_blind_names().open().await.unwrap();
    let task = node.run();
    let (theirs, other) = (space("acme", "products"), space("globex", "products"));
    let asked: Vec<_> = (0..10)
        .map(|_| {
            let (node, theirs) = (node.clone(), theirs.clone());
            tokio::spawn(async move { sealing(&node, &theirs).await })
        })
        .collect();
    yield_often().await;
    assert!(asked.iter().all(|asked| !asked.is_finished()), "who comes first waits, for as long as it likes");
    assert_eq!(own.vault.calls(), 1, "all wait for one call");

    // Meanwhile: keys, names, refreshes and changes of others.
    let id = sealing(&node, &other).await.unwrap();
    assert!(node.naming(&theirs).is_none() && node.naming(&other).is_none());
    own.world.clock.advance(Duration::from_secs(1));
    yield_often().await;
    assert!(node.naming(&other).is_some() && node.naming(&theirs).is_none());
    assert!(node.revoke(&KeyOwner::tenant(TenantId::new("globex").unwrap()), id).await.unwrap());

    own.world.clock.advance(Duration::from_secs(20));
    for asked in asked {
        assert!(is_unavailable(&asked.await.unwrap()), "it was given up");
    }
    let refreshes = node.stats().refreshes;
    for _ in 0..12 {
        own.world.clock.advance(5 * MINUTE);
        yield_often().await;
    }
    assert!(node.stats().refreshes - refreshes >= 10, "the house is refreshed as ever");
    assert_eq!(node.stats().failed_refreshes, 0);
    assert!(own.vault.calls() < 60, "{} calls in an hour", own.vault.calls());

    own.vault.hang(false);
    for _ in 0..10 {
        own.world.clock.advance(MINUTE);
        yield_often().await;
    }
    sealing(&node, &theirs).await.unwrap();
    assert!(node.naming(&theirs).is_none(), "it is fetched now");
    own.world.clock.advance(Duration::from_secs(1));
    yield_often().await;
    assert!(node.naming(&theirs).is_some(), "by the vault's own task");
    drop(task);
}

#[tokio::test]
async fn keys_at_hand_outlive_their_vault_for_a_day_and_then_it_is_over() {
    let own = Own::new();
    let node = own.node().await;
    let (theirs, other) = (space("acme", "products"), space("globex", "products"));
    let id = sealing(&node, &theirs).await.unwrap();
    sealing(&node, &other).await.unwrap();
    own.vault.fail(down());
    own.world.pass(DAY - 5 * MINUTE, &[&node]).await;
    assert!(is_ready(&node.sealing(&theirs)) && is_ready(&node.opening(&theirs, id)));
    own.world.pass(10 * MINUTE, &[&node]).await;
    assert!(is_unavailable(&sealing(&node, &theirs).await) && is_unavailable(&opening(&node, &theirs, id).await));
    assert!(is_ready(&node.sealing(&other)), "the house's are at hand");
    own.vault.fail(None);
    own.world.pass(5 * MINUTE, &[&node]).await;
    assert_eq!(opening(&node, &theirs, id).await, Ok(id));

    // Disabled on purpose: gone at the next look, and its tenant's alone.
    own.vault.fail(ProviderError::new(ProviderErrorKind::Disabled, "a test"));
    own.world.pass(65 * MINUTE, &[&node]).await;
    assert!(is_unavailable(&opening(&node, &theirs, id).await));
    assert!(is_ready(&node.sealing(&other)));
}

#[tokio::test]
async fn whoever_keeps_the_keys_is_asked_once_and_an_error_is_never_the_house() {
    for answer in [Answer::Fails, Answer::Panics] {
        let own = Own::new();
        own.register.set("acme", answer.clone());
        let node = own.node().await;
        let theirs = space("acme", "products");
        for _ in 0..100 {
            assert!(is_unavailable(&sealing(&node, &theirs).await), "{answer:?}");
        }
        assert_eq!(own.register.asked(), 1, "{answer:?}: not asked again at once");
        assert_eq!(own.world.keys().await.len(), 1, "the branch of the house");
        let error = node.status(&KeyOwner::tenant(acme())).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        // Ever longer pauses.
        for _ in 0..600 {
            own.world.clock.advance(Duration::from_secs(1));
            sealing(&node, &theirs).await.unwrap_err();
        }
        assert!((7..=20).contains(&own.register.asked()), "{answer:?}: {} calls", own.register.asked());
        own.register.set("acme", Answer::Own(own.vault.clone()));
        own.world.clock.advance(MINUTE);
        sealing(&node, &theirs).await.unwrap();
        assert_eq!(own.records("/vaults/").await.len(), 2);
    }
}

#[tokio::test]
async fn a_register_that_hangs_is_given_up_and_a_storm_asks_it_once() {
    let own = Own::new();
    own.register.set("acme", Answer::Hangs);
    let node = own.node().await;
    let theirs = space("acme", "products");
    let storm = |count: usize| -> Vec<_> {
        let ask = || {
            let (node, theirs) = (node.clone(), theirs.clone());
            tokio::spawn(async move { sealing(&node, &theirs).await })
        };
        (0..count).map(|_| ask()).collect()
    };
    let asked = storm(100);
    yield_often().await;
    assert_eq!(own.register.asked(), 1);
    sealing(&node, &space("globex", "products")).await.unwrap();
    asked[0].abort();
    own.world.clock.advance(Duration::from_secs(20));
    for asked in asked.into_iter().skip(1) {
        assert!(is_unavailable(&asked.await.unwrap()));
    }
    own.register.set("acme", Answer::Own(own.vault.clone()));
    own.world.clock.advance(MINUTE);
    let before = own.register.asked();
    for asked in storm(100) {
        asked.await.unwrap().unwrap();
    }
    assert_eq!(own.register.asked() - before, 1);
    // To find a master key, to wrap, and to see that it unwraps.
    assert_eq!(own.vault.calls(), 3);
}

#[tokio::test]
async fn answers_stand_for_a_day_while_newer_ones_fail() {
    let own = Own::new();
    let node = own.node().await;
    let (theirs, house) = (space("acme", "products"), space("globex", "products"));
    let id = sealing(&node, &theirs).await.unwrap();
    sealing(&node, &house).await.unwrap();
    own.register.set("acme", Answer::Fails);
    own.register.set("globex", Answer::Fails);
    own.world.pass(DAY - HOUR, &[&node]).await;
    assert!(is_ready(&node.opening(&theirs, id)) && is_ready(&node.sealing(&house)));
    own.world.pass(2 * HOUR, &[&node]).await;
    assert!(is_unavailable(&opening(&node, &theirs, id).await) && is_unavailable(&sealing(&node, &house).await));
    own.register.set("acme", Answer::Own(own.vault.clone()));
    own.register.set("globex", None);
    own.world.pass(5 * MINUTE, &[&node]).await;
    assert_eq!(opening(&node, &theirs, id).await, Ok(id));
    sealing(&node, &house).await.unwrap();
}

#[tokio::test]
async fn a_tenant_that_changes_its_vault_begins_anew() {
    let own = Own::new();
    own.register.set("acme", None);
    let node = own.node().await;
    let theirs = space("acme", "products");
    let in_house = sealing(&node, &theirs).await.unwrap();
    own.register.set("acme", Answer::Own(own.vault.clone()));
    own.world.pass(HOUR, &[&node]).await;
    let brought = sealing(&node, &theirs).await.unwrap();
    assert_ne!(in_house, brought);
    assert_eq!(opening(&node, &theirs, in_house).await, Err(KeyFailure::Unknown));

    // Another vault: what the first one wrapped is nothing to it, and the tenant has none until its records are gone.
    own.register.set("acme", Answer::Own(Vault::named("another", 3)));
    own.world.pass(HOUR, &[&node]).await;
    assert!(is_unavailable(&sealing(&node, &theirs).await));
    Shredder::new(node.clone()).shred(&acme()).await.unwrap();
    own.world.pass(5 * MINUTE, &[&node]).await;
    let anew = sealing(&node, &theirs).await.unwrap();
    assert!(![in_house, brought].contains(&anew));

    // And back to the house: nothing of what was brought opens.
    own.register.set("acme", None);
    own.world.pass(HOUR, &[&node]).await;
    assert_eq!(opening(&node, &theirs, anew).await, Err(KeyFailure::Unknown));
    sealing(&node, &theirs).await.unwrap();
}

#[tokio::test]
async fn keys_of_a_vault_rotate_and_end_without_the_others() {
    let own = Own::new();
    let (node, other) = (own.node().await, own.node().await);
    let (theirs, house) = (space("acme", "products"), space("globex", "products"));
    let first = sealing(&node, &theirs).await.unwrap();
    sealing(&node, &house).await.unwrap();
    let keyring = node.of(&acme()).await.unwrap();
    assert_eq!(keyring.get_master_key(None).await.unwrap().provider(), "vault-of-acme");
    assert_eq!(keyring.rotate_master_key(None).await.unwrap().version(), "2");
    assert_eq!(node.get_master_key(None).await.unwrap().version(), "1", "the house's is as it was");
    let old = keyring.branch_status().await.unwrap()[0].id();
    keyring.rotate_branch().await.unwrap();
    own.world.pass(10 * MINUTE, &[&node, &other]).await;
    keyring.rewrap().await.unwrap();
    assert!(keyring.retire_branch(old).await.unwrap());
    assert_eq!(opening(&other, &theirs, first).await, Ok(first), "over all rotations");

    // By its owner, on the keyring that all share.
    let owner = KeyOwner::tenant(acme());
    let second = node.rotate_derived(&owner).await.unwrap().id();
    own.world.pass(10 * MINUTE, &[&node, &other]).await;
    assert_eq!(sealing(&other, &theirs).await, Ok(second));
    assert!(node.revoke(&owner, first).await.unwrap());
    own.world.pass(5 * MINUTE, &[&node, &other]).await;
    assert_eq!(opening(&other, &theirs, first).await, Err(KeyFailure::Revoked));
    assert_eq!(node.status(&owner).await.unwrap().len(), 2);
    assert!(is_ready(&other.opening(&theirs, second)) && is_ready(&node.sealing(&house)));

    // The keyring of one vault is for nobody else.
    assert_eq!(sealing(&keyring, &house).await, Err(KeyFailure::Unknown));
    assert_eq!(sealing(&keyring, &space("", "products")).await, Err(KeyFailure::Unknown));
    let error = keyring.status(&KeyOwner::shared()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let error = Shredder::new(keyring).shred(&acme()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "by the one that nodes share");
    assert!(node.of(&TenantId::new("globex").unwrap()).await.unwrap().get_master_key(None).await.is_ok());
}

#[tokio::test]
async fn an_operator_makes_the_first_master_key_of_a_vault() {
    let own = Own::new();
    own.vault.fail(ProviderError::new(ProviderErrorKind::NotFound, "none yet"));
    let node = own.node().await;
    let theirs = space("acme", "products");
    assert!(is_unavailable(&sealing(&node, &theirs).await));
    own.vault.fail(None);
    // Its provider has one by now; what was paused goes on by hand.
    let keyring = node.of(&acme()).await.unwrap();
    assert_eq!(keyring.generate_master_key().await.unwrap_err().kind(), ErrorKind::Conflict);
    keyring.refresh().await.unwrap();
    sealing(&node, &theirs).await.unwrap();
}

#[tokio::test]
async fn so_many_vaults_are_held_and_no_more() {
    let world = World::new();
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let vaults = move |tenant: &TenantId| -> Result<Custody> {
        counted.fetch_add(1, Ordering::Relaxed);
        let own = tenant.as_str().starts_with("own");
        Ok(if own { Custody::Own(Arc::new(Vault::named("own", 5))) } else { Custody::House })
    };
    let node = world.builder().with_tenant_vaults(vaults).with_max_tenant_vaults(16).with_max_lines(16);
    let node = node.open().await.unwrap();
    let mut ids = Vec::new();
    for number in 0..100 {
        ids.push(sealing(&node, &space(&format!("own-{number}"), "products")).await.unwrap());
        sealing(&node, &space(&format!("house-{number}"), "products")).await.unwrap();
    }
    let stats = node.stats();
    assert!((1..=16).contains(&stats.tenant_vaults), "{stats:?}");
    assert_eq!(asked.load(Ordering::Relaxed), 200);
    for (number, id) in ids.into_iter().enumerate() {
        let space = space(&format!("own-{number}"), "products");
        assert_eq!(opening(&node, &space, id).await, Ok(id), "who was let go is found again");
    }
    let wrong = world.builder().with_max_tenant_vaults(15).with_node("a b").open().await.unwrap_err().to_string();
    assert!(wrong.contains("max_tenant_vaults must be 16 to 65536, but 15 was given"), "{wrong}");
    assert!(wrong.contains("node must be 1 to 32 bytes"), "{wrong}");
}

#[tokio::test]
async fn shredding_ends_what_a_vault_protects_whether_or_not_it_is_there() {
    for there in [true, false] {
        let own = Own::new();
        let (node, other) = (own.node().await, own.node().await);
        let tasks = (node.run(), other.run());
        let theirs = space("acme", "products");
        let id = sealing(&node, &theirs).await.unwrap();
        assert_eq!(opening(&other, &theirs, id).await, Ok(id));
        let starts = own.node().await;
        let task = starts.run();
        yield_often().await;
        own.vault.fail((!there).then(down));

        // By a node that has no branch key of the vault at hand.
        let receipt = Shredder::new(starts.clone()).shred(&acme()).await.unwrap();
        assert!(receipt.keys.contains(id.as_bytes()), "{there}");
        assert_eq!(receipt.keys.len(), if there { 1 } else { 2 }, "without its vault, its branch key goes too");
        assert_eq!((receipt.confirmed.len(), receipt.unconfirmed.len()), (3, 0), "{there}");
        assert_eq!(own.records("/vaults/").await.len(), if there { 2 } else { 0 });
        for node in [&node, &other, &starts] {
            let opened = opening(node, &theirs, id).await;
            if there {
                assert_eq!(opened, Err(KeyFailure::Revoked));
            } else {
                assert!(is_unavailable(&opened), "{opened:?}");
                assert!(is_unavailable(&sealing(node, &theirs).await), "nothing under what is gone");
            }
        }
        own.vault.fail(None);
        for _ in 0..4 {
            own.world.clock.advance(5 * MINUTE);
            yield_often().await;
        }
        let fresh = sealing(&node, &theirs).await.unwrap();
        assert_ne!(fresh, id);
        assert_eq!(opening(&other, &theirs, fresh).await, Ok(fresh), "{there}");
        assert!(opening(&other, &theirs, id).await.is_err());
        drop((tasks, task));
    }
}

#[tokio::test]
async fn a_record_that_is_moved_to_another_vault_or_to_the_house_is_refused() {
    let own = Own::new();
    own.register.set("globex", Answer::Own(Vault::named("vault-of-acme", 2)));
    let node = own.node().await;
    let (theirs, other) = (space("acme", "products"), space("globex", "products"));
    let id = sealing(&node, &theirs).await.unwrap();
    sealing(&node, &other).await.unwrap();
    let all = own.world.records.list(&RecordPrefix::ALL).await.unwrap();
    let of = |space_of: &str, end: &str| {
        let mut found = all.iter().filter(|(key, _)| key.as_str().contains("/vaults/") && key.as_str().ends_with(end));
        let is_acmes = |key: &memstache_core::RecordKey| {
            let branch = all.iter().find(|(other, _)| other == key);
            branch.is_some() && key.as_str().contains(&tag_of(&all, id))
        };
        found.find(|(key, _)| is_acmes(key) == (space_of == "acme")).cloned().unwrap()
    };
    // Even with the same master key: acme's branch and line in globex's place.
    for end in ["/branch", "/data/default"] {
        let ((_, record), (place, _)) = (of("acme", end), of("globex", end));
        own.world.records.put(&place, record.value, memstache_core::Expected::Any).await.unwrap();
    }
    let starts = own.node().await;
    assert!(opening(&starts, &other, id).await.is_err());
    assert!(is_unavailable(&sealing(&starts, &other).await));
    assert_eq!(opening(&starts, &theirs, id).await, Ok(id));
}

/// The tag below which the vault's records are whose line holds a key.
fn tag_of(all: &[(memstache_core::RecordKey, memstache_core::Record)], id: memstache_crypto::KeyId) -> String {
    let holds = |value: &[u8]| value.windows(16).any(|bytes| bytes == id.as_bytes());
    let (key, _) = all.iter().find(|(_, record)| holds(&record.value)).unwrap();
    key.as_str().split('/').nth(3).unwrap().to_owned()
}

#[tokio::test]
async fn a_sealed_stack_with_blind_names_serves_both_kinds_of_tenants() {
    let own = Own::new();
    let node = own.builder().with_blind_names().open().await.unwrap();
    let seal = Seal::builder(node.clone()).clock(own.world.clock.clone()).build().unwrap();
    let store = MemoryStore::builder().clock(own.world.clock.clone()).build().unwrap();
    let stack = Stack::over(store).seal(seal).build();
    let cache = Cache::builder(stack).keyspace("products").namer(BlindNames::new(node.clone())).ttl(DAY);
    let cache = cache.clock(own.world.clock.clone()).format(Json).build_tenanted().unwrap();
    for tenant in ["acme", "globex"] {
        node.prepare(&space(tenant, "products")).await.unwrap();
        let handle = cache.for_tenant(&TenantId::new(tenant).unwrap());
        handle.set("tea", tenant).await.unwrap();
        assert_eq!(handle.get::<String>("tea").await.unwrap().as_deref(), Some(tenant));
    }
    own.vault.fail(ProviderError::new(ProviderErrorKind::Disabled, "a test"));
    own.world.pass(65 * MINUTE, &[&node]).await;
    let acmes = cache.for_tenant(&acme());
    assert_eq!(acmes.get::<String>("tea").await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(acmes.set("tea", "x").await.unwrap_err().kind(), ErrorKind::Unavailable);
    let globex = cache.for_tenant(&TenantId::new("globex").unwrap());
    assert_eq!(globex.get::<String>("tea").await.unwrap().as_deref(), Some("globex"));
    let shown = format!("{node:?} {:?}", node.of(&acme()).await.unwrap());
    assert!(!shown.contains("acme"), "{shown}");
    assert!(settle(node.sealing(&space("acme", "products"))).await.is_err());
}
