//! The tenant goes where the handle goes: into loads, tasks and threads.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use http::{Request, Response};
use memstache_core::{Cache, Json, KeyspaceName};
use memstache_tenancy::{TenantLayer, TenantRequest};
use tokio::sync::Notify;
use tower::{Layer, ServiceExt, service_fn};

use crate::kit::{Body, by_header, caches, of, tenant, text};

async fn loaded(cache: &Cache<Json>, value: &str) -> String {
    let value = value.to_owned();
    cache.get_or_load("key", move |_| async move { Ok::<_, Infallible>(value) }).await.unwrap()
}

#[tokio::test]
async fn a_spawned_load_is_its_tenants() {
    let caches = caches();
    let service =
        TenantLayer::new(caches.clone(), by_header()).layer(service_fn(|request: Request<Body>| async move {
            let cache = request.tenant_cache::<Json>().unwrap().clone();
            drop(request);
            let name = cache.space().tenant().unwrap().to_owned();
            let task = tokio::spawn(async move { loaded(&cache, &name).await });
            Ok::<_, Infallible>(Response::new(Body::from(task.await.unwrap())))
        }));
    let calls = ["acme", "umbrella"].map(|shop| service.clone().oneshot(of(shop)));
    for (call, shop) in calls.into_iter().zip(["acme", "umbrella"]) {
        assert_eq!(text(call.await.unwrap()).await, shop);
        assert_eq!(caches.for_tenant(&tenant(shop)).get::<String>("key").await.unwrap().as_deref(), Some(shop));
    }
    assert_eq!(caches.shared().get::<String>("key").await.unwrap(), None);
}

#[tokio::test]
async fn a_load_outlives_its_request_and_stays_its_tenants() {
    let (caches, loads) = (caches(), Arc::new(AtomicUsize::new(0)));
    let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (count, begins, goes_on) = (Arc::clone(&loads), Arc::clone(&begun), Arc::clone(&go_on));
    let service = TenantLayer::new(caches.clone(), by_header()).layer(service_fn(move |request: Request<Body>| {
        let (count, begins, goes_on) = (Arc::clone(&count), Arc::clone(&begins), Arc::clone(&goes_on));
        async move {
            let cache = request.tenant_cache::<Json>().unwrap();
            let load = move |_| async move {
                count.fetch_add(1, Relaxed);
                begins.notify_one();
                goes_on.notified().await;
                Ok::<_, Infallible>("loaded".to_owned())
            };
            Ok::<_, Infallible>(Response::new(Body::from(cache.get_or_load("key", load).await.unwrap())))
        }
    }));
    let request = tokio::spawn(service.clone().oneshot(of("acme")));
    begun.notified().await;
    request.abort();
    assert!(request.await.unwrap_err().is_cancelled());
    // Another tenant does not join the load that is running; this one does.
    let another = loaded(&caches.for_tenant(&tenant("umbrella")), "umbrella's own").await;
    assert_eq!(another, "umbrella's own");
    let joined = tokio::spawn(service.oneshot(of("acme")));
    tokio::task::yield_now().await;
    go_on.notify_one();
    assert_eq!(text(joined.await.unwrap().unwrap()).await, "loaded");
    assert_eq!(loads.load(Relaxed), 1);
}

#[tokio::test]
async fn another_keyspace_is_the_same_tenants() {
    let caches = caches();
    let service =
        TenantLayer::new(caches.clone(), by_header()).layer(service_fn(|request: Request<Body>| async move {
            let orders = request.tenant_cache::<Json>().unwrap().with_keyspace(&KeyspaceName::new("orders").unwrap());
            orders.set("key", &7).await.unwrap();
            Ok::<_, Infallible>(Response::new(Body::default()))
        }));
    service.oneshot(of("acme")).await.unwrap();
    let orders = caches.with_keyspace(&KeyspaceName::new("orders").unwrap());
    assert_eq!(orders.for_tenant(&tenant("acme")).get::<u32>("key").await.unwrap(), Some(7));
    assert_eq!(orders.for_tenant(&tenant("umbrella")).get::<u32>("key").await.unwrap(), None);
}
