//! What tenants cost at rest, counted by the allocator.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use memstache_core::{
    Address, Get, KeyspaceName, MemoryStore, Request, Space, Stack, TenantId, observe::Registry, testing::ManualClock,
};
use memstache_tenancy::{MeterTenants, Plan, Plans, TenantMetrics, Tenants};

struct Counting;

/// Bytes that are allocated and not freed.
static HELD: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size(), Relaxed);
        // SAFETY: the caller's contract is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's contract is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const TENANTS: usize = 100_000;
const MINUTE: Duration = Duration::from_secs(60);

fn name(n: usize) -> TenantId {
    TenantId::new(format!("tenant-{n:08}")).unwrap()
}

/// One test: nobody else allocates meanwhile.
#[tokio::test]
async fn a_hundred_thousand_tenants_cost_little_each_have_no_series_each_and_are_forgotten() {
    let clock = ManualClock::new();
    let plan = || Plan::builder("free").operations_per_second(50).loads(4).bytes(1 << 20).build().unwrap();
    let plans = Plans::builder().plan(plan()).default_plan("free").build().unwrap();
    let tenants = Tenants::builder(plans).clock(clock.clone()).idle_after(10 * MINUTE).build().unwrap();
    let registry = Registry::new();
    tenants.publish(&registry, TenantMetrics::named()).unwrap();
    let store = MemoryStore::builder().clock(clock.clone()).accountant(tenants.clone()).build().unwrap();
    let stack = Stack::over(store).meter(tenants.quota()).build();
    let keyspace = KeyspaceName::new("k").unwrap();
    let ask = async |n: usize| {
        let address = Address::plain(&Space::new(Some(&name(n)), &keyspace), "x").unwrap();
        stack.dispatch(Request::from(Get::one(address))).await.unwrap();
    };
    ask(TENANTS).await;

    let before = HELD.load(Relaxed);
    for n in 0..TENANTS {
        ask(n).await;
    }
    assert_eq!(tenants.len(), TENANTS + 1);
    let each = HELD.load(Relaxed).saturating_sub(before) / TENANTS;
    assert!((100..300).contains(&each), "{each} bytes each");

    let text = registry.prometheus_text();
    let series = |name: &str| text.lines().filter(|line| line.starts_with(name)).count();
    for (instrument, series_each) in [("operations_total", 1), ("refused_total", 3), ("size_bytes", 1), ("loads", 1)] {
        assert_eq!(series(&format!("memstache_tenant_{instrument}{{")), 21 * series_each, "{instrument}");
    }
    tenants.publish(&registry, TenantMetrics::totals()).unwrap();
    drop(text);

    clock.advance(9 * MINUTE);
    assert_eq!(tenants.sweep(), 0, "not yet");
    clock.advance(MINUTE);
    assert_eq!(tenants.sweep(), TENANTS + 1);
    let left = HELD.load(Relaxed).saturating_sub(before);
    assert!(tenants.is_empty() && left < TENANTS, "{left} bytes are left");
    let line = format!("memstache_tenant_operations_total{{memstache_tenant=\"(other)\"}} {}\n", TENANTS + 1);
    assert!(registry.prometheus_text().contains(&line), "what they did is not forgotten");

    // Those who are given a plan by name cost no more than a name and a number beside it.
    let before = HELD.load(Relaxed);
    let names = (0..TENANTS).fold(Plans::builder().plan(plan()), |plans, n| plans.assign(&name(n), "free"));
    tenants.reload(names.default_plan("free").build().unwrap());
    for n in 0..TENANTS {
        ask(n).await;
    }
    let each = HELD.load(Relaxed).saturating_sub(before) / TENANTS;
    assert!((100..300).contains(&each), "{each} bytes each, their plans included");
}
