//! Allocations, counted: what it costs to know whose a request is.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    convert::Infallible,
    future::{Ready, ready},
    pin::pin,
    task::{Context, Poll, Waker},
};

use http::{Request, Response, request::Parts};
use memstache_core::{Cache, Json, MemoryStore, Stack, TenantId};
use memstache_tenancy::{AllTenants, OnConflict, Refusal, Resolved, Resolver, TenantLayer};
use tower::{Layer, Service};

struct Counting;

thread_local! {
    /// How often and how many bytes this thread has allocated.
    static COUNT: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

// SAFETY: everything is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set((count.get().0 + 1, count.get().1 + layout.size())));
        // SAFETY: the caller's contract is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Runs something and returns how often and how many bytes it allocated.
fn counted<T>(work: impl FnOnce() -> T) -> (T, (usize, usize)) {
    let (times, bytes) = COUNT.get();
    let result = work();
    (result, (COUNT.get().0 - times, COUNT.get().1 - bytes))
}

#[derive(Clone)]
struct Claims(&'static str);

/// Of a resolver with every source there is.
fn resolver() -> Resolver {
    Resolver::builder()
        .claim(|claims: &Claims| Some(claims.0))
        .header("x-shop")
        .path_segment(1)
        .subdomain("example.com")
        .with(|parts| parts.uri.query().map(Into::into))
        .known(AllTenants)
        .build()
        .unwrap()
}

fn request(claim: &'static str, uri: &str, shop: &str, host: &str) -> Parts {
    let request = Request::get(uri).header("x-shop", shop).header("host", host).extension(Claims(claim));
    request.body(()).unwrap().into_parts().0
}

#[test]
fn the_name_is_all_that_resolution_allocates() {
    let resolver = resolver();
    for host in ["acme.example.com", "ACME.Example.COM:8080"] {
        let parts = request("acme", "/shops/acme?acme", "acme", host);
        let (resolved, (times, bytes)) = counted(|| resolver.resolve(&parts));
        assert!(matches!(resolved, Ok(Resolved::Tenant(tenant)) if tenant.as_str() == "acme"));
        assert!(times == 1 && bytes <= 32, "{times} of {bytes} bytes");
    }
}

#[test]
fn refusals_allocate_nothing() {
    let (resolver, long) = (resolver(), "a".repeat(60_000));
    for (parts, refusal) in [
        (request("acme", "/shops/umbrella", "acme", "localhost"), Refusal::Conflict),
        (request("acme", "/shops/acme", &long, "localhost"), Refusal::Invalid),
        (request("acme", "/shops/%61cme", "acme", "localhost"), Refusal::Invalid),
        (request("acme", "/shops/acme", "acme", &long), Refusal::Invalid),
        (Request::get("/shops/acme").body(()).unwrap().into_parts().0, Refusal::Missing),
    ] {
        assert_eq!(counted(|| resolver.resolve(&parts)), (Err(refusal), (0, 0)));
    }
}

#[test]
fn an_unknown_tenant_costs_its_name_and_a_fallback_nothing() {
    let acme = TenantId::new("acme").unwrap();
    let header = || Resolver::builder().header("x-shop").on_conflict(OnConflict::FirstWins);
    let parts = Request::get("/").header("x-shop", "umbrella").body(()).unwrap().into_parts().0;
    let resolver = header().known(|_: &TenantId| false).build().unwrap();
    let (resolved, (times, _)) = counted(|| resolver.resolve(&parts));
    assert_eq!((resolved, times), (Err(Refusal::Unknown), 1));
    let resolver = header().dangerously_default_to(acme.clone()).build().unwrap();
    let parts = Request::new(()).into_parts().0;
    assert_eq!(counted(|| resolver.resolve(&parts)), (Ok(Resolved::Tenant(acme)), (0, 0)));
}

/// A service that does nothing.
#[derive(Clone)]
struct Nothing;

impl Service<Request<()>> for Nothing {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = Ready<Result<Response<()>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        drop(request);
        ready(Ok(Response::new(())))
    }
}

#[test]
fn the_handle_is_made_and_handed_on_in_a_few_more() {
    let stack = Stack::over(MemoryStore::builder().max_bytes(1 << 20).build().unwrap()).build();
    let caches = Cache::builder(stack).keyspace("products").format(Json).build_tenanted().unwrap();
    let mut service = TenantLayer::new(caches, Resolver::builder().path_segment(0).build().unwrap()).layer(Nothing);
    let mut call = |extended: bool| {
        let mut request = Request::get("/acme").body(()).unwrap();
        if extended {
            // As behind a server, which leaves something of its own there.
            request.extensions_mut().insert(7_u32);
        }
        let (response, count) = counted(|| {
            let future = pin!(service.call(request));
            let Poll::Ready(response) = future.poll(&mut Context::from_waker(Waker::noop())) else { panic!() };
            response.unwrap()
        });
        assert_eq!(response.status(), 200);
        count.0
    };
    call(true);
    // The name, the space's key (two), and a box for each of the two extensions.
    assert_eq!(call(true), 5);
    // And the map of the extensions, if the request comes without.
    assert_eq!(call(false), 7);
}
