//! Bytes and charges balance, whatever happens and in whatever order.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use futures_util::FutureExt;
use parking_lot::Mutex;

use super::*;
use crate::{Accountant, Charge, Error, ErrorKind, TinyLfu, memory::shared::Shared};

/// Lets each tenant hold so many bytes.
#[derive(Clone, Debug)]
struct Quota(Arc<Mutex<HashMap<Option<String>, (usize, usize)>>>, usize);

impl Quota {
    fn new(bytes: usize) -> Self {
        Self(Arc::default(), bytes)
    }

    fn held(&self) -> (usize, usize) {
        self.0.lock().values().fold((0, 0), |sum, held| (sum.0 + held.0, sum.1 + held.1))
    }
}

impl Accountant for Quota {
    fn charge(&self, tenant: Option<&str>, charge: Charge) -> Result<()> {
        let mut tenants = self.0.lock();
        let held = tenants.entry(tenant.map(str::to_owned)).or_default();
        if held.0 + charge.bytes > self.1 {
            return Err(Error::new(ErrorKind::Overloaded, "over quota"));
        }
        *held = (held.0 + charge.bytes, held.1 + charge.entries);
        Ok(())
    }

    fn release(&self, tenant: Option<&str>, charge: Charge) {
        let mut tenants = self.0.lock();
        let held = tenants.get_mut(&tenant.map(str::to_owned)).unwrap();
        *held = (held.0.checked_sub(charge.bytes).unwrap(), held.1.checked_sub(charge.entries).unwrap());
    }
}

fn check(shared: &Shared<TinyLfu>, quota: &Quota) {
    let (mut taken, mut charged, mut entries, mut leases) = (0, 0, 0, 0);
    for shard in &shared.shards {
        let shard = shard.read();
        taken += shard.table.bytes();
        let slots = (0..shard.table.end().0).filter_map(|id| shard.table.get(crate::SlotId(id)));
        charged += slots.map(|slot| slot.bytes()).sum::<usize>();
        entries += shard.table.len();
        leases += shard.leases.len();
    }
    assert_eq!(taken, shared.budget.used(), "the budget is what the tables take");
    assert_eq!((charged, entries), quota.held(), "the accountant knows what is held");
    assert_eq!(leases, shared.standing.load(Ordering::Relaxed));
}

/// Does one random thing; everything that a store without waiting does is done at once.
fn step(store: &MemoryStore, clock: &ManualClock, random: &mut fastrand::Rng) {
    let tenant = ["", "a", "b"][random.usize(..3)];
    let address = Address::plain(&space(tenant, "test"), random.u32(..300).to_string()).unwrap();
    let most = if random.u8(..20) == 0 { 80_000 } else { 2000 };
    let len = random.usize(..most);
    let lifetime = match random.u8(..3) {
        0 => Lifetime::UNLIMITED,
        1 => Lifetime::new(Duration::from_millis(random.u64(1..20_000))).unwrap(),
        _ => Lifetime::new(secs(5)).unwrap().with_sliding(secs(2)).unwrap().with_stale_for(secs(3)).unwrap(),
    };
    let tags = Tags::new((0..random.usize(..3)).map(|_| tag(&random.u8(..5).to_string()))).unwrap();
    let entry = NewEntry::new(vec![0; len], lifetime).with_tags(tags);
    let set = |when| {
        let items = OneOrMany::One(SetItem { address: address.clone(), entry: entry.clone(), when });
        let _ = store.set(Set { items, scope: Scope::default() }).now_or_never().unwrap();
    };
    match random.u8(..100) {
        0 => clock.advance(Duration::from_millis(random.u64(..2000))),
        1 => drop(store.invalidate(Invalidate::one(Target::Space(space(tenant, "test")))).now_or_never()),
        2..5 => {
            let target = Target::Tag(space(tenant, "test"), tag(&random.u8(..5).to_string()));
            drop(store.invalidate(Invalidate::one(target)).now_or_never());
        }
        5..10 => drop(store.remove(Remove::one(address)).now_or_never()),
        10..15 => drop(store.touch(Touch::one(address, TouchKind::Live(lifetime))).now_or_never()),
        15..40 => set([When::Always, When::IfAbsent, When::IfPresent][random.usize(..3)]),
        _ => {
            let op =
                Get { items: OneOrMany::One(address.clone().into()), on_miss: OnMiss::Lease, scope: Scope::default() };
            match store.get(op).now_or_never().unwrap().unwrap().into_one().unwrap() {
                Ok(Lookup::Leased(lease) | Lookup::Stale(_, Some(lease))) if random.bool() => {
                    set(When::IfLease(lease.id))
                }
                _ => {}
            }
        }
    }
}

fn everything_goes(store: &MemoryStore, clock: &ManualClock, quota: &Quota) {
    for tenant in ["", "a", "b"] {
        store.invalidate(Invalidate::one(Target::Space(space(tenant, "test")))).now_or_never();
    }
    clock.advance(secs(10));
    store.maintain();
    check(&store.shared, quota);
    assert_eq!((store.stats().bytes, quota.held(), store.stats().leases_standing), (0, (0, 0), 0));
}

#[test]
fn charges_and_releases_balance_under_a_random_workload() {
    let quota = Quota::new(200_000);
    let bed = bed_with(|builder| builder.accountant(quota.clone()).max_bytes(512 * 1024).max_tag_records(8));
    let mut random = fastrand::Rng::with_seed(7);
    for n in 0..20_000 {
        step(&bed.store, &bed.clock, &mut random);
        if n % 500 == 0 {
            check(&bed.store.shared, &quota);
        }
    }
    assert!(bed.store.stats().evictions > 0, "the load is more than fits");
    everything_goes(&bed.store, &bed.clock, &quota);
}

#[test]
fn bytes_balance_after_eight_threads_and_never_pass_the_bound() {
    let quota = Quota::new(400_000);
    let bed = bed_with(|builder| builder.accountant(quota.clone()));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                assert!(bed.store.stats().bytes <= 1 << 20);
                std::thread::yield_now();
            }
        });
        let work = |seed| {
            let (store, clock) = (&bed.store, &bed.clock);
            move || {
                let mut random = fastrand::Rng::with_seed(seed);
                (0..5000).for_each(|_| step(store, clock, &mut random));
            }
        };
        let threads: Vec<_> = (0..8).map(|seed| scope.spawn(work(seed))).collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        done.store(true, Ordering::Relaxed);
        watch.join().unwrap();
    });
    check(&bed.store.shared, &quota);
    everything_goes(&bed.store, &bed.clock, &quota);
}

#[tokio::test]
async fn over_quota_a_write_fails_unless_it_fits_in_place_of_the_old_value() {
    let quota = Quota::new(2000);
    let bed = bed_with(|builder| builder.accountant(quota.clone()));
    bed.set("a", living(&"x".repeat(1000), 10, 60)).await;
    let error = bed.write(key("b"), forever(&"x".repeat(1000)), When::Always).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Overloaded);
    bed.set("a", living(&"y".repeat(1000), 10, 60)).await;
    bed.clock.advance(secs(11));
    let Lookup::Stale(_, Some(lease)) = bed.ask("a").await else { panic!() };
    let fill = |len| bed.write(key("a"), living(&"z".repeat(len), 10, 60), When::IfLease(lease.id));
    fill(1900).await.unwrap_err();
    let Lookup::Stale(entry, Some(lease)) = bed.ask("a").await else {
        panic!("a refused fill leaves things as they were")
    };
    assert!(entry.value.starts_with(b"y"));
    bed.fill("a", living(&"z".repeat(1000), 10, 60), lease).await;
    assert!(bed.value("a").await.is_some_and(|value| value.starts_with('z')));
    bed.write(key("a"), forever(&"x".repeat(1900)), When::Always).await.unwrap_err();
    assert!(bed.value("a").await.is_none(), "no outdated value survives");
    assert_eq!(quota.held(), (0, 0));
}
