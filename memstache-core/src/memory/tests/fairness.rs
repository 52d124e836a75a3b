//! Whose entries go: no tenant loses what it is entitled to.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use futures_util::FutureExt;
use parking_lot::Mutex;
use proptest::prelude::*;

use super::*;
use crate::{
    Accountant, Allowance, Charge, ErrorKind, FairShare, Fifo, Parts, PolicyKind, SlotId, WhenOver,
    memory::{policy::EvictionPolicy, shared::Shared},
};

fn fair(allowance: Allowance) -> FairShare {
    FairShare::new(allowance).unwrap()
}

fn id(tenant: &str) -> Option<TenantId> {
    (!tenant.is_empty()).then(|| TenantId::new(tenant).unwrap())
}

fn held(fair: &FairShare, tenant: &str) -> Charge {
    fair.held(id(tenant).as_ref())
}

fn put<P: EvictionPolicy>(store: &MemoryStore<P>, tenant: &str, name: &str, len: usize) -> Result<Version> {
    let space = space(tenant, "test");
    store.set_now(&Parts::new(&space, name.as_bytes())?, NewEntry::new(vec![0; len], Lifetime::UNLIMITED))
}

fn has<P: EvictionPolicy>(store: &MemoryStore<P>, tenant: &str, name: &str) -> bool {
    store.get_now(&Parts::new(&space(tenant, "test"), name.as_bytes()).unwrap()).is_some()
}

fn put_all(store: &MemoryStore, tenant: &str, names: usize, len: usize) {
    for name in 0..names {
        put(store, tenant, &name.to_string(), len).unwrap();
    }
}

/// Asserts that each tenant is charged exactly what it holds, and that its entries are in its queues.
fn check<P: EvictionPolicy>(shared: &Shared<P>, fair: &FairShare) {
    let mut found: HashMap<String, Charge> = HashMap::new();
    let mut rows = 0;
    for shard in &shared.shards {
        let mut shard = shard.write();
        let mut here: Vec<(String, SlotId)> = Vec::new();
        for id in (0..shard.table.end().0).map(SlotId) {
            if let Some(held) = shard.table.get(id) {
                let tenant = held.tenant().unwrap_or("").to_owned();
                let all = found.entry(tenant.clone()).or_default();
                *all = Charge { bytes: all.bytes + held.bytes(), entries: all.entries + 1 };
                here.push((tenant, id));
            }
        }
        for (tenant, _) in &here {
            let victim = shard.table.victim_of(id(tenant).as_ref().map(TenantId::as_str), None).unwrap();
            assert!(here.contains(&(tenant.clone(), victim)), "a tenant's own entry");
        }
        here.sort();
        here.dedup_by(|a, b| a.0 == b.0);
        assert_eq!(shard.table.tenants(), here.len(), "a row for each tenant that is here");
        rows += here.len();
    }
    assert!(rows >= found.len());
    for (tenant, charge) in &found {
        assert_eq!(held(fair, tenant), *charge, "exactly what it holds");
    }
    assert_eq!(fair.tenants(), found.len(), "nobody else is remembered");
}

/// Watches that nobody loses an entry to a tenant that holds more.
#[derive(Clone, Debug)]
struct Watch {
    fair: FairShare,
    /// The tenant who writes.
    writer: Arc<Mutex<Option<String>>>,
    /// Entries that went for a write of another tenant.
    strangers: Arc<Mutex<usize>>,
}

impl Accountant for Watch {
    fn charge(&self, tenant: Option<&str>, charge: Charge) -> Result<()> {
        self.fair.charge(tenant, charge)
    }
    fn release(&self, tenant: Option<&str>, charge: Charge) {
        let writer = self.writer.lock().clone();
        if tenant != writer.as_deref() {
            let (loser, writer) = (self.fair.load(tenant).unwrap(), self.fair.load(writer.as_deref()).unwrap());
            assert!(loser >= writer, "{loser} lost to {writer}");
            *self.strangers.lock() += 1;
        }
        self.fair.release(tenant, charge);
    }
    fn evicts_own(&self, tenant: Option<&str>, charge: Charge) -> bool {
        self.fair.evicts_own(tenant, charge)
    }
    fn load(&self, tenant: Option<&str>) -> Option<f64> {
        self.fair.load(tenant)
    }
}

#[test]
fn nobody_loses_an_entry_to_a_tenant_that_holds_more() {
    for kind in PolicyKind::ALL {
        let fair = fair(Allowance::new());
        let watch = Watch { fair: fair.clone(), writer: Arc::default(), strangers: Arc::default() };
        let builder = MemoryStore::builder().max_bytes(256 * 1024).shards(4).accountant(watch.clone());
        let store = builder.policy_kind(*kind).build().unwrap();
        let mut random = fastrand::Rng::with_seed(11);
        // More tenants than are asked at a time; some want much, some little, one has a greater weight.
        let tenants: Vec<String> = (0..40).map(|n| if n == 0 { String::new() } else { format!("t{n}") }).collect();
        fair.allow(id("t1").as_ref(), Allowance::new().with_weight(10)).unwrap();
        for _ in 0..6000 {
            let tenant = &tenants[(random.f64() * random.f64() * 40.0) as usize];
            *watch.writer.lock() = id(tenant).map(|id| id.as_str().to_owned());
            put(&store, tenant, &random.u32(..200).to_string(), random.usize(..600)).unwrap();
        }
        assert!(*watch.strangers.lock() > 100, "{kind}: tenants take from each other");
        let known = fair.tenants();
        assert!(known > 20, "{known}");
    }
}

/// Who is held, by the rules and nothing else: oldest first, over one shard.
#[derive(Default)]
struct Naive(VecDeque<(String, String, usize)>);

impl Naive {
    fn load(&self, tenant: &str, weights: &HashMap<String, u32>, more: (&str, usize)) -> f64 {
        let bytes = |tenant: &str| {
            let held = self.0.iter().filter(|held| held.0 == tenant).map(|held| held.2).sum::<usize>();
            (held + if more.0 == tenant { more.1 } else { 0 }) as f64
        };
        let active: Vec<&String> = weights.keys().filter(|tenant| bytes(tenant) > 0.0).collect();
        let (total, weight) =
            active.iter().fold((0.0, 0.0), |sum, tenant| (sum.0 + bytes(tenant), sum.1 + f64::from(weights[*tenant])));
        bytes(tenant) / f64::from(weights[tenant]) * weight / total
    }

    /// Takes out who goes for a write; the names of who might, where loads are alike.
    fn victims(&self, writer: &str, weights: &HashMap<String, u32>, bytes: usize) -> Vec<(String, String)> {
        let load = |tenant: &str| self.load(tenant, weights, (writer, bytes));
        let oldest = |tenant: &str| self.0.iter().find(|held| held.0 == tenant);
        let pair = |held: &(String, String, usize)| (held.0.clone(), held.1.clone());
        let Some(first) = self.0.front() else { return Vec::new() };
        if load(&first.0) > 1.0 + 1e-9 && load(&first.0) >= load(writer) - 1e-9 {
            return vec![pair(first)];
        }
        let most =
            weights.keys().filter(|tenant| oldest(tenant).is_some()).map(|tenant| load(tenant)).fold(0.0, f64::max);
        let alike = weights.keys().filter(|tenant| (load(tenant) - most).abs() < 1e-9);
        let mut named: Vec<_> = alike.filter_map(|tenant| oldest(tenant)).map(pair).collect();
        if (load(&first.0) - 1.0).abs() < 1e-9 {
            named.push(pair(first));
        }
        named
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn who_goes_is_who_should(
        writes in prop::collection::vec((0..5usize, 0..60u32, 0..1500usize), 150..300),
        weights in prop::collection::vec(1..6u32, 5),
    ) {
        let tenants = ["", "a", "b", "c", "d"];
        let fair = fair(Allowance::new());
        for (tenant, weight) in tenants.iter().zip(&weights) {
            fair.allow(id(tenant).as_ref(), Allowance::new().with_weight(*weight)).unwrap();
        }
        let weights: HashMap<String, u32> = tenants.iter().map(|name| (*name).to_owned()).zip(weights).collect();
        let builder = MemoryStore::builder().max_bytes(64 * 1024).shards(1).accountant(fair.clone());
        let store = builder.policy(|_| Fifo::default()).build().unwrap();
        let mut naive = Naive::default();
        for (n, (at, name, len)) in writes.into_iter().enumerate() {
            let (tenant, name) = (tenants[at], format!("{name}-{n}"));
            let before = store.stats().evictions;
            put(&store, tenant, &name, len).unwrap();
            let bytes = held(&fair, tenant).bytes
                - naive.0.iter().filter(|held| held.0 == tenant && has(&store, tenant, &held.1)).map(|held| held.2).sum::<usize>();
            for _ in before..store.stats().evictions {
                let named = naive.victims(tenant, &weights, bytes);
                let gone = named.iter().find(|(tenant, name)| !has(&store, tenant, name));
                prop_assert!(gone.is_some(), "one of {named:?} should have gone");
                naive.0.retain(|held| Some(&(held.0.clone(), held.1.clone())) != gone);
            }
            naive.0.push_back((tenant.to_owned(), name, bytes));
            prop_assert!(naive.0.iter().all(|held| has(&store, &held.0, &held.1)), "nobody else went");
        }
        prop_assert_eq!(store.stats().entries, naive.0.len());
    }
}

#[test]
fn a_tenant_never_holds_more_than_its_limits_and_others_lose_nothing() {
    let limits = Allowance::new().with_max_bytes(40_000).with_max_entries(60);
    let fair = fair(limits);
    let store = MemoryStore::builder().max_bytes(4 << 20).shards(16).accountant(fair.clone()).build().unwrap();
    put_all(&store, "quiet", 50, 100);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (store, fair) = (&store, &fair);
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(thread);
                for _ in 0..1500 {
                    let len = if random.u8(..50) == 0 { 30_000 } else { random.usize(..800) };
                    put(store, "loud", &random.u32(..500).to_string(), len).expect("a legal value always fits");
                    let now = held(fair, "loud");
                    assert!(now.bytes <= 40_000 && now.entries <= 60, "{now:?}");
                }
            });
        }
    });
    assert!((0..50).all(|n| has(&store, "quiet", &n.to_string())), "others lose nothing");
    assert_eq!(held(&fair, "quiet").entries, 50);
    check(&store.shared, &fair);
}

#[test]
fn the_oldest_of_the_tenant_go_first_also_from_other_shards() {
    let fair = fair(Allowance::new().with_max_entries(3));
    let one = MemoryStore::builder().max_bytes(1 << 20).shards(1).accountant(fair).build().unwrap();
    for name in ["a", "b", "c", "a", "d"] {
        put(&one, "t", name, 9).unwrap();
    }
    assert!(!has(&one, "t", "b") && has(&one, "t", "a") && has(&one, "t", "c") && has(&one, "t", "d"));

    let fair = FairShare::new(Allowance::new().with_max_entries(3)).unwrap();
    let many = MemoryStore::builder().max_bytes(8 << 20).shards(64).accountant(fair.clone()).build().unwrap();
    for n in 0..200 {
        put(&many, "t", &n.to_string(), 9).unwrap();
        assert!(has(&many, "t", &n.to_string()), "the newest is there");
        assert_eq!(held(&fair, "t").entries, 3.min(n + 1));
    }
    check(&many.shared, &fair);
}

#[tokio::test]
async fn a_value_that_can_never_fit_evicts_nobody_and_a_refusal_names_the_limit() {
    let fair = fair(Allowance::new().with_max_bytes(2000));
    let bed = bed_with(|builder| builder.accountant(fair.clone()));
    put(&bed.store, "t", "a", 500).unwrap();
    put(&bed.store, "t", "b", 500).unwrap();
    let error = put(&bed.store, "t", "c", 5000).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Overloaded);
    assert!(error.to_string().contains("max_bytes of a tenant must be at most 2000, but it would be "), "{error}");
    assert!(has(&bed.store, "t", "a") && has(&bed.store, "t", "b"));

    let refuse = Allowance::new().with_max_entries(1).with_when_over(WhenOver::Refuse);
    fair.allow(id("r").as_ref(), refuse).unwrap();
    put(&bed.store, "r", "a", 5).unwrap();
    put(&bed.store, "r", "a", 6).unwrap();
    let error = put(&bed.store, "r", "b", 5).unwrap_err();
    assert!(error.to_string().contains("max_entries of a tenant must be at most 1, but it would be 2"), "{error}");
    assert!(has(&bed.store, "r", "a") && !has(&bed.store, "r", "b"));
}

#[tokio::test]
async fn a_fill_and_a_touch_make_their_tenants_entries_go() {
    let limits = Allowance::new().with_max_entries(2);
    let fair = fair(limits);
    let bed = bed_with(|builder| builder.shards(1).accountant(fair.clone()));
    bed.set("a", forever("1")).await;
    bed.set("b", forever("2")).await;
    let lease = bed.lease("c").await;
    assert!(matches!(bed.fill("c", forever(&"3".repeat(600)), lease).await, Written::Stored(_)));
    assert!(bed.value("a").await.is_none() && bed.value("c").await.is_some());

    // A sliding lifetime takes room of its own, which another entry of the tenant gives.
    let bytes = held(&fair, "").bytes;
    fair.allow(None, limits.with_max_bytes(bytes)).unwrap();
    let sliding = Lifetime::new(secs(60)).unwrap().with_sliding(secs(5)).unwrap();
    assert!(bed.touch("b", TouchKind::Live(sliding)).await);
    assert!(bed.value("b").await.is_some() && bed.value("c").await.is_none());
    // Where it could not fit alone, nobody else goes for it.
    bed.set("d", forever("4")).await;
    fair.allow(None, limits.with_max_bytes(200)).unwrap();
    assert!(!bed.touch("d", TouchKind::Live(sliding)).await);
    assert!(bed.value("b").await.is_some());
    fair.allow(None, limits).unwrap();
    check(&bed.store.shared, &fair);
}

#[test]
fn a_lone_tenant_fills_the_store_and_gives_back_what_others_ask_for() {
    let fair = fair(Allowance::new());
    let store = MemoryStore::builder().max_bytes(1 << 20).shards(4).accountant(fair.clone()).build().unwrap();
    put_all(&store, "lone", 4000, 300);
    let alone = held(&fair, "lone").bytes;
    assert!(alone > (1 << 20) * 8 / 10, "what nobody else needs is lent: {alone}");
    fair.allow(id("heavy").as_ref(), Allowance::new().with_weight(3)).unwrap();
    let mut random = fastrand::Rng::with_seed(5);
    for n in 0..6000 {
        put(&store, "lone", &n.to_string(), 300).unwrap();
        put(&store, "heavy", &random.u32(..5000).to_string(), 300).unwrap();
        if n == 10 {
            let small = held(&fair, "heavy").entries;
            assert_eq!(small, 11, "who is below its share is always let in");
        }
    }
    let (lone, heavy) = (held(&fair, "lone").bytes as f64, held(&fair, "heavy").bytes as f64);
    assert!((heavy / lone - 3.0).abs() < 0.1, "by weight: {heavy} to {lone}");
    check_all_but_allowances(&store, &fair);
}

fn check_all_but_allowances(store: &MemoryStore, fair: &FairShare) {
    assert_eq!(fair.tenants(), 2);
    fair.allow(id("heavy").as_ref(), Allowance::new()).unwrap();
    check(&store.shared, fair);
}

#[test]
fn an_entry_larger_than_all_others_of_many_tenants_still_fits() {
    let fair = fair(Allowance::new());
    let store = MemoryStore::builder().max_bytes(512 * 1024).shards(4).accountant(fair.clone()).build().unwrap();
    for n in 0..3000 {
        put(&store, &format!("t{}", n % 300), &n.to_string(), 200).unwrap();
    }
    put(&store, "big", "value", 60_000).unwrap();
    assert!(has(&store, "big", "value"));
    check(&store.shared, &fair);
}

#[test]
fn accounts_are_exact_under_threads_and_who_holds_nothing_is_forgotten() {
    let fair = fair(Allowance::new().with_max_bytes(150_000));
    let bed = bed_with(|builder| builder.max_bytes(512 * 1024).accountant(fair.clone()));
    std::thread::scope(|scope| {
        for seed in 0..6 {
            let store = &bed.store;
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(seed);
                for _ in 0..2500 {
                    let tenant = ["", "a", "b", "c", "d", "e"][random.usize(..6)];
                    let name = random.u32(..200).to_string();
                    match random.u8(..10) {
                        0 => {
                            store.remove_now(&Parts::new(&space(tenant, "test"), name.as_bytes()).unwrap());
                        }
                        1 => {
                            has(store, tenant, &name);
                        }
                        _ => {
                            put(store, tenant, &name, random.usize(..3000)).unwrap();
                        }
                    }
                }
            });
        }
    });
    check(&bed.store.shared, &fair);
    for tenant in ["", "a", "b", "c", "d", "e"] {
        bed.store.invalidate(Invalidate::one(Target::Space(space(tenant, "test")))).now_or_never();
    }
    bed.store.maintain();
    check(&bed.store.shared, &fair);
    assert_eq!((fair.tenants(), bed.store.stats().bytes), (0, 0));
}

#[test]
fn limits_change_while_the_store_runs() {
    let fair = fair(Allowance::new());
    let store = MemoryStore::builder().max_bytes(1 << 20).shards(4).accountant(fair.clone()).build().unwrap();
    put_all(&store, "t", 100, 10);
    fair.allow(id("t").as_ref(), Allowance::new().with_max_entries(10)).unwrap();
    assert_eq!(held(&fair, "t").entries, 100, "nothing goes before the next write");
    put(&store, "t", "new", 10).unwrap();
    assert_eq!(held(&fair, "t").entries, 10);
    assert!(has(&store, "t", "new"));
}

#[test]
fn a_conditional_write_evicts_others_of_its_tenant_and_never_what_its_condition_is_about() {
    for round in 0..64 {
        let fair = fair(Allowance::new().with_max_bytes(40_000));
        let store = MemoryStore::builder().max_bytes(4 << 20).shards(16).accountant(fair.clone()).build().unwrap();
        let name = format!("k{round}");
        let mut version = put(&store, "t", &name, 1_000).unwrap();
        for other in 0..32 {
            put(&store, "t", &format!("{round}-{other}"), 1_000).unwrap();
        }
        for (len, by_version) in [(8_000, true), (16_000, false)] {
            let Some(Ok(Written::Stored(written))) = store
                .set(Set {
                    items: OneOrMany::One(SetItem {
                        address: Address::plain(&space("t", "test"), name.as_bytes()).unwrap(),
                        entry: NewEntry::new(vec![0; len], Lifetime::UNLIMITED),
                        when: if by_version { When::IfVersion(version) } else { When::IfPresent },
                    }),
                    scope: Scope::default(),
                })
                .now_or_never()
                .unwrap()
                .unwrap()
                .into_one()
            else {
                panic!("{round}: refused, though its condition holds")
            };
            version = written;
            assert!(has(&store, "t", &name), "{round}");
            check(&store.shared, &fair);
        }
    }
}
