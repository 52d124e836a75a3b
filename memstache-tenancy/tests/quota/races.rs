//! Many threads at once, and exact counts in the end.

use memstache_core::{ErrorKind, LoadContext};
use memstache_tenancy::{OverQuota, Plans};

use crate::kit::{Kit, for_all, plan, secs, tenant};

const WORKERS: usize = 8;
const CALLS: usize = 400;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_burst_is_shared_exactly_while_plans_are_reloaded_and_idle_ones_swept() {
    let burst = || for_all(plan().operations_per_second(1000).burst(1000));
    let kit = Kit::new(burst());
    let cache = kit.cache();
    let workers: Vec<_> = (0..WORKERS)
        .map(|worker| {
            let (cache, tenants) = (cache.clone(), kit.tenants.clone());
            tokio::spawn(async move {
                let (mut passed, mut refused) = (0, 0);
                for call in 0..CALLS {
                    match cache.for_tenant(&tenant("acme")).get::<u32>("x").await {
                        Ok(_) => passed += 1,
                        Err(error) if error.kind() == ErrorKind::Overloaded => refused += 1,
                        Err(error) => panic!("{error}"),
                    }
                    let own = tenant(&format!("w{worker}-{}", call % 50));
                    cache.for_tenant(&own).get::<u32>("x").await.unwrap();
                    if call % 40 == worker {
                        tenants.reload(for_all(plan().operations_per_second(1000).burst(1000)));
                        tenants.sweep();
                    }
                }
                (passed, refused)
            })
        })
        .collect();
    let mut all = (0, 0);
    for worker in workers {
        let (passed, refused) = worker.await.unwrap();
        all = (all.0 + passed, all.1 + refused);
    }
    let usage = kit.tenants.usage(&tenant("acme"));
    assert_eq!(all, (1000, WORKERS as u64 * CALLS as u64 - 1000), "time stood still");
    assert_eq!((usage.operations, usage.refused_operations), all);
    let own: u64 = kit.tenants.top(1000).iter().map(|(_, usage)| usage.operations).sum();
    assert_eq!(own, 1000 + (WORKERS * CALLS) as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_held_is_exact_after_a_storm_of_writes_that_are_refused() {
    storm(OverQuota::Refuse).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_held_is_exact_after_a_storm_of_writes_that_evict() {
    storm(OverQuota::EvictOwn).await;
}

async fn storm(over: OverQuota) {
    let kit = Kit::new(for_all(plan().entries(50).over_entries(over)));
    let cache = kit.cache();
    let workers: Vec<_> = (0..WORKERS)
        .map(|worker| {
            let (cache, tenants) = (cache.clone(), kit.tenants.clone());
            tokio::spawn(async move {
                for call in 0..CALLS {
                    let id = tenant(["a", "b"][call % 2]);
                    let (handle, key) = (cache.for_tenant(&id), format!("{}", (call * 7 + worker * 13) % 90));
                    match call % 5 {
                        0 => drop(handle.remove(key).await.unwrap()),
                        _ => match handle.set(key, &"x".repeat(call % 100)).await {
                            Ok(_) => {}
                            Err(error) => assert_eq!((over, error.kind()), (OverQuota::Refuse, ErrorKind::Overloaded)),
                        },
                    }
                    assert!(tenants.usage(&id).entries <= 50);
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    let held: u64 = ["a", "b"].iter().map(|name| kit.tenants.usage(&tenant(name)).entries).sum();
    let bytes: u64 = ["a", "b"].iter().map(|name| kit.tenants.usage(&tenant(name)).bytes).sum();
    assert_eq!((held as usize, bytes as usize > 0), (kit.store.stats().entries, true));
    for n in 0..90 {
        for name in ["a", "b"] {
            cache.for_tenant(&tenant(name)).remove(n.to_string()).await.unwrap();
        }
    }
    for name in ["a", "b"] {
        let usage = kit.tenants.usage(&tenant(name));
        assert_eq!((usage.entries, usage.bytes), (0, 0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn permits_of_loads_all_come_back() {
    let kit = Kit::new(for_all(plan().loads(3)));
    let acme = kit.cache().for_tenant(&tenant("acme"));
    let workers: Vec<_> = (0..WORKERS)
        .map(|worker| {
            let (acme, tenants) = (acme.clone(), kit.tenants.clone());
            tokio::spawn(async move {
                for call in 0..CALLS / 4 {
                    let loader = move |_: LoadContext<usize>| async move {
                        tokio::task::yield_now().await;
                        assert!(call % 10 != 3, "on purpose");
                        if call % 10 == 5 { Err(std::io::Error::other("down")) } else { Ok(call) }
                    };
                    let load = acme.get_or_load(format!("{worker}-{call}"), loader);
                    if call % 7 == 0 {
                        drop(tokio::time::timeout(std::time::Duration::ZERO, load).await);
                    } else {
                        drop(load.await);
                    }
                    assert!(tenants.usage(&tenant("acme")).loads_in_flight <= 3);
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    while acme.loads_in_flight() > 0 {
        tokio::task::yield_now().await;
    }
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(kit.tenants.usage(&tenant("acme")).loads_in_flight, 0);
}

#[tokio::test]
async fn plans_without_limits_refuse_nobody() {
    let kit = Kit::new(Plans::builder().build().unwrap());
    let acme = kit.cache().for_tenant(&tenant("acme"));
    for n in 0..5000_u32 {
        acme.set(n.to_string(), &n).ttl(secs(5)).await.unwrap();
    }
    assert_eq!(kit.tenants.usage(&tenant("acme")).entries, 5000);
}
