//! What a call through a stack costs: nanoseconds and allocations, interleaved, against the bare store.
//!
//! `cargo xtask bench --bench stack`; `--quick` for a smoke run. Times are for orientation, ratios count.

#![allow(clippy::print_stdout, missing_docs, reason = "a bench prints its table")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    hint::black_box,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use memstache_core::{
    Address, Cache, CacheService, ErasedService, Error, ErrorKind, Get, Json, KeyspaceName, MemoryStore, NearConfig,
    Request, Response, Space, Stack, TransformLayer,
    observe::{ObserveLayer, Registry},
    resilience::{BreakerConfig, Probing, Resilience, ResilienceConfig},
};
use tower::{Service, ServiceBuilder};

#[path = "../tests/allocations/support.rs"]
mod support;

use self::support::{Pass, now};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: forwards to the system's allocator; the counter is a plain thread local without a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's contract is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's contract is passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

struct Row {
    name: &'static str,
    call: Box<dyn FnMut()>,
    allocations: u64,
    nanos: Vec<f64>,
}

impl Row {
    fn new(name: &'static str, call: impl FnMut() + 'static) -> Self {
        Self { name, call: Box::new(call), allocations: 0, nanos: Vec::new() }
    }

    #[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
    fn round(&mut self, calls: u32) {
        let before = ALLOCATIONS.with(Cell::get);
        let start = Instant::now();
        (0..calls).for_each(|_| (self.call)());
        self.nanos.push(start.elapsed().as_nanos() as f64 / f64::from(calls));
        self.allocations = (ALLOCATIONS.with(Cell::get) - before) / u64::from(calls);
    }

    fn median(&mut self) -> f64 {
        self.nanos.sort_by(f64::total_cmp);
        self.nanos[self.nanos.len() / 2]
    }
}

fn rows() -> Vec<Row> {
    let space = Space::new(None, &KeyspaceName::new("k").expect("a keyspace"));
    let address = Address::plain(&space, "user:7").expect("a name");
    let fill = |service: ErasedService| {
        let cache = Cache::builder(service).keyspace("k").format(Json).build().expect("good settings");
        now(async { cache.set("user:7", &7u64).await }).expect("stored");
        cache
    };
    let store = || MemoryStore::builder().max_bytes(1 << 20).build().expect("good settings");

    let mut bare = store();
    fill(ErasedService::new(bare.clone()));
    let key = address.clone();
    let bare_row = Row::new("bare memory store", move || {
        black_box(now(bare.call(Request::Get(Get::one(key.clone()))))).expect("found");
    });

    let layer = || TransformLayer::new(Pass);
    let inner = store();
    fill(ErasedService::new(inner.clone()));
    let mut layered =
        ServiceBuilder::new().layer(layer()).layer(layer()).layer(layer()).layer(layer()).layer(layer()).service(inner);
    let key = address.clone();
    let layered_row = Row::new("+ five static layers", move || {
        black_box(now(layered.call(Request::Get(Get::one(key.clone()))))).expect("found");
    });

    let erased = ErasedService::new(store());
    fill(erased.clone());
    let erased_row = Row::new("+ erased once", move || {
        black_box(now(erased.dispatch(Get::one(address.clone())))).expect("found");
    });

    let (full_row, refused_rows) = (full(&fill, store(), "full default stack, bytes hit"), refused(&fill, &store));
    let cache = fill(ErasedService::new(store()));
    let handle_row = Row::new("handle over the store, get::<u64>", move || {
        assert_eq!(black_box(now(cache.get::<u64>("user:7"))).expect("found"), Some(7));
    });

    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let near = NearConfig::new(1 << 20).expect("large enough");
    let cache = runtime.block_on(async { fill(Stack::over(store()).near(near).build()) });
    let warm = runtime.block_on(cache.get::<u64>("user:7")).expect("found");
    assert_eq!(warm, Some(7));
    let near_row = Row::new("near hit, get::<u64>", move || {
        // The runtime stays alive for as long as the near cache's follower does.
        let _runtime = &runtime;
        assert_eq!(black_box(now(cache.get::<u64>("user:7"))).expect("found"), Some(7));
    });
    let (near_many, decoded_many) = many();
    let [recorded_handle, recorded_near] = recorded();
    let whole = fill(layers(store(), ResilienceConfig::default()));
    let whole_row = Row::new("handle over the full stack, get::<u64>", move || {
        assert_eq!(black_box(now(whole.get::<u64>("user:7"))).expect("found"), Some(7));
    });
    let mut rows = vec![
        bare_row,
        layered_row,
        erased_row,
        full_row,
        handle_row,
        recorded_handle,
        near_row,
        recorded_near,
        whole_row,
        recorded_whole(),
        decoded_one(),
        near_many,
        decoded_many,
    ];
    rows.extend(refused_rows);
    rows
}

/// The layers of a default stack over a leaf: limits, two transforms, retries, a breaker, the timeout of attempts.
fn layers<S: CacheService>(leaf: S, config: ResilienceConfig) -> ErasedService {
    let resilience = Resilience::new(config).expect("good settings");
    Stack::over(leaf).resilient(&resilience).compress(Pass).seal(Pass).build()
}

fn full(fill: &impl Fn(ErasedService) -> Cache<Json>, store: MemoryStore, name: &'static str) -> Row {
    let stack = layers(store, ResilienceConfig::default());
    let key = fill(stack.clone()).address("user:7").expect("a name");
    Row::new(name, move || {
        black_box(now(stack.dispatch(Get::one(key.clone())))).expect("found");
    })
}

/// Calls through the same layers that are shed, refused or given up.
fn refused(fill: &impl Fn(ErasedService) -> Cache<Json>, store: &impl Fn() -> MemoryStore) -> Vec<Row> {
    let key = fill(ErasedService::new(store())).address("user:7").expect("a name");
    let stack = layers(Hanging, ResilienceConfig { max_calls: Some(1), ..ResilienceConfig::default() });
    let mut held = stack.dispatch(Get::one(key.clone()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let guard = runtime.enter();
    assert!(poll_once(&mut held).is_pending());
    drop(guard);
    let address = key.clone();
    let shed = Row::new("shed by the limit", move || {
        let _held = (&held, &runtime);
        black_box(now(stack.dispatch(Get::one(address.clone())))).expect_err("shed");
    });

    let config = BreakerConfig::leaf().with_probing(Probing::Requests).with_open_for(Duration::from_secs(3600));
    let config = ResilienceConfig { breaker: Some(config), retry: None, ..ResilienceConfig::default() };
    let stack = layers(Gone, config);
    for _ in 0..5 {
        now(stack.dispatch(Get::one(key.clone()))).expect_err("gone");
    }
    let address = key.clone();
    let open = Row::new("refused by an open breaker", move || {
        black_box(now(stack.dispatch(Get::one(address.clone())))).expect_err("refused");
    });

    let config = ResilienceConfig { timeout: None, ..ResilienceConfig::default() };
    let stack = layers(Hanging, config);
    let cancelled = Row::new("given up while the store hangs", move || {
        let mut call = stack.dispatch(Get::one(key.clone()));
        assert!(poll_once(&mut call).is_pending());
        drop(black_box(call));
    });
    vec![shed, open, cancelled]
}

fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// A leaf that never answers.
#[derive(Clone)]
struct Hanging;

impl Service<Request> for Hanging {
    type Response = Response;
    type Error = Error;
    type Future = std::future::Pending<Result<Response, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request) -> Self::Future {
        std::future::pending()
    }
}

/// A leaf that is out of reach.
#[derive(Clone)]
struct Gone;

impl Service<Request> for Gone {
    type Response = Response;
    type Error = Error;
    type Future = std::future::Ready<Result<Response, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request) -> Self::Future {
        std::future::ready(Err(Error::new(ErrorKind::Unavailable, "gone")))
    }
}

/// The handle over the store, and near hits, both recorded by a registry.
fn recorded() -> [Row; 2] {
    let recorder = Registry::new().recorder("k").expect("a name");
    let build = |stack| {
        let cache = Cache::builder(stack).keyspace("k").format(Json).recorder(recorder.clone()).build();
        let cache = cache.expect("good settings");
        now(async { cache.set("user:7", &7u64).await }).expect("stored");
        cache
    };
    let stack = || {
        let store = MemoryStore::builder().max_bytes(1 << 20).build().expect("good settings");
        Stack::over(store).observe(ObserveLayer::new(recorder.clone()))
    };
    let cache = build(stack().build());
    let handle = Row::new("handle over the store, get::<u64>, recorded", move || {
        assert_eq!(black_box(now(cache.get::<u64>("user:7"))).expect("found"), Some(7));
    });
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let near = NearConfig::new(1 << 20).expect("large enough");
    let cache = runtime.block_on(async { build(stack().near(near).build()) });
    assert_eq!(runtime.block_on(cache.get::<u64>("user:7")).expect("found"), Some(7));
    let near = Row::new("near hit, get::<u64>, recorded", move || {
        let _runtime = &runtime;
        assert_eq!(black_box(now(cache.get::<u64>("user:7"))).expect("found"), Some(7));
    });
    [handle, near]
}

/// The handle over the full default stack, recorded by a registry.
fn recorded_whole() -> Row {
    let recorder = Registry::new().recorder("k").expect("a name");
    let store = MemoryStore::builder().max_bytes(1 << 20).build().expect("good settings");
    let stack = Stack::over(store).resilient(&Resilience::default()).compress(Pass).seal(Pass);
    let stack = stack.observe(ObserveLayer::new(recorder.clone())).build();
    let cache = Cache::builder(stack).keyspace("k").format(Json).recorder(recorder).build().expect("good settings");
    now(async { cache.set("user:7", &7u64).await }).expect("stored");
    Row::new("handle over the full stack, get::<u64>, recorded", move || {
        assert_eq!(black_box(now(cache.get::<u64>("user:7"))).expect("found"), Some(7));
    })
}

/// A handle on pages of a kibibyte in a near tier that has room for all of them, decoded.
fn pages(names: &[String]) -> (Cache<Json>, tokio::runtime::Runtime) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let room = (16 << 20) + names.len() * 4096;
    let cache = runtime.block_on(async {
        let store = MemoryStore::builder().max_bytes(room).build().expect("good settings");
        let near = NearConfig::new(room).expect("large enough");
        let cache = Cache::builder(Stack::over(store).near(near).build()).keyspace("k").format(Json).build();
        let cache = cache.expect("good settings");
        for name in names {
            cache.set(name, &name.repeat(1024 / name.len())).await.expect("stored");
        }
        for name in names.iter().chain(names) {
            cache.get_arc::<String>(name).await.expect("found");
        }
        cache
    });
    (cache, runtime)
}

fn decoded_one() -> Row {
    let names = ["user:7".to_owned()];
    let (cache, runtime) = pages(&names);
    Row::new("decoded near hit, get_arc, 1 KiB", move || {
        let _runtime = &runtime;
        black_box(now(cache.get_arc::<String>("user:7"))).expect("found").expect("kept");
    })
}

/// Hits on 100,000 keys, some far more popular than others: as bytes, and decoded.
fn many() -> (Row, Row) {
    let names: Vec<String> = (0..100_000).map(|n| format!("user:{n:08}")).collect();
    let (cache, runtime) = pages(&names);
    let (names, order) = (Arc::new(names), zipf(100_000, 1 << 20));
    let (other, also, again) = (cache.clone(), Arc::clone(&names), order.clone());
    let (mut order, mut again) = (order.into_iter().cycle(), again.into_iter().cycle());
    let near = Row::new("near hit, 100,000 keys, get::<String>, 1 KiB", move || {
        let _runtime = &runtime;
        let name = &names[order.next().expect("endless")];
        black_box(now(cache.get::<String>(name))).expect("found").expect("held");
    });
    let decoded = Row::new("decoded near hit, 100,000 keys, get_arc, 1 KiB", move || {
        let name = &also[again.next().expect("endless")];
        black_box(now(other.get_arc::<String>(name))).expect("found").expect("kept");
    });
    (near, decoded)
}

/// So many draws among `keys`, the popular ones spread at random: Zipf with exponent 0.99.
fn zipf(keys: usize, draws: usize) -> Vec<usize> {
    let mut random = fastrand::Rng::with_seed(7);
    let mut sum = 0.0;
    let mut add = |rank: usize| {
        sum += (rank as f64).powf(-0.99);
        sum
    };
    let sums: Vec<f64> = (1..=keys).map(&mut add).collect();
    let mut places: Vec<usize> = (0..keys).collect();
    random.shuffle(&mut places);
    let mut draw = || {
        let at = random.f64() * sum;
        places[sums.partition_point(|below| *below < at).min(keys - 1)]
    };
    (0..draws).map(|_| draw()).collect()
}

fn main() {
    let quick = std::env::args().any(|arg| arg == "--quick");
    let (rounds, calls) = if quick { (5, 2_000) } else { (11, 200_000) };
    let mut rows = rows();
    rows.iter_mut().for_each(|row| row.round(calls / 10));
    rows.iter_mut().for_each(|row| row.nanos.clear());
    for _ in 0..rounds {
        rows.iter_mut().for_each(|row| row.round(calls));
    }
    let base = rows[0].median();
    println!("| call | ns (median of {rounds}) | x bare | allocations |\n| --- | ---: | ---: | ---: |");
    for row in &mut rows {
        let nanos = row.median();
        println!("| {} | {nanos:.0} | {:.2} | {} |", row.name, nanos / base, row.allocations);
    }
    // Bytes cannot be decoded into a page without an allocation: its text.
    let allowed = [0, 0, 1, 2, 2, 2, 0, 0, 3, 3, 0, 1, 0, 1, 4, 2];
    assert_eq!(rows.len(), allowed.len());
    // What a whole stack adds to the store, against one boxed call of the store.
    let (boxed, full) = (rows[2].median(), rows[3].median() - base);
    println!(
        "\nthe full stack adds {full:.0} ns to the bare store, a bare boxed call takes {boxed:.0} ns: {:.2} x (mark: 2.50)",
        full / boxed
    );
    for (recorded, plain) in [(5, 4), (7, 6), (9, 8)] {
        let times = rows[recorded].median() / rows[plain].median();
        println!("{}: {times:.2} x (mark: 1.20)", rows[recorded].name);
    }
    for (row, allowed) in rows.iter().zip(allowed) {
        assert!(row.allocations <= allowed, "{}: {} allocations, allowed {allowed}", row.name, row.allocations);
    }
}
