//! Shops are tenants: whose a request is, what each may use, what the store sees of it.

use memstache_core::{ErasedService, Get, Lifetime, Lookup, NewEntry, Operation as _, Set};

use super::*;
use crate::{database::Route, place::Shop};

impl Bench {
    async fn asked(&self, host: &str, shop: Option<&str>) -> StatusCode {
        let request = Request::get("/products/7").header(header::HOST, host);
        let request = shop.into_iter().fold(request, |request, shop| request.header("x-shop", shop));
        let response = self.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let (status, headers) = (response.status(), response.headers());
        if !status.is_success() {
            assert_eq!(headers[header::CONTENT_TYPE], "application/problem+json");
            assert_eq!(headers[header::CACHE_CONTROL], "no-store");
        }
        status
    }
}

#[tokio::test]
async fn a_request_is_for_the_shop_of_its_host_or_its_header() {
    let bench = Bench::new().await;
    for (host, shop, status) in [
        ("shop-01.localhost:3000", None, 200),
        ("shop-02.LOCALHOST", None, 200),
        ("127.0.0.1:3000", Some("shop-02"), 200),
        ("shop-02.localhost", Some("shop-02"), 200),
        ("shop-02.localhost", Some("shop-01"), 403),
        ("shop-03.localhost", None, 403),
        ("127.0.0.1", Some("shop-1"), 403),
        ("127.0.0.1", Some("../shop-01"), 400),
        ("a.shop-01.localhost", None, 400),
        ("127.0.0.1", None, 400),
    ] {
        assert_eq!(bench.asked(host, shop).await, status, "{host} {shop:?}");
    }
    assert_eq!(bench.app.database.ledger().queries(Route::Cached).total, 2, "who is refused asks nothing");
}

#[tokio::test]
async fn who_is_over_its_plan_is_told_when_to_come_back_and_others_do_not_notice() {
    let bench = Bench::new().await;
    bench.app.caches.tenants.reload(plans::standard(SIZE).unwrap());
    assert_eq!(bench.outcome("/products/7").await, "miss");
    for id in 1001..1020 {
        assert_eq!(bench.get(&format!("/products/{id}")).await.0, StatusCode::NOT_FOUND);
    }
    let refused = bench.ask(Method::GET, "/products/1020", Body::empty()).await;
    assert_eq!(
        (refused.status(), &refused.headers()[header::RETRY_AFTER]),
        (StatusCode::TOO_MANY_REQUESTS, &"1".parse().unwrap())
    );
    assert!(body(refused).await["detail"].as_str().unwrap().contains("its plan"));
    assert_eq!(bench.ask(Method::PUT, "/products/7", draft("tea").to_string()).await.status(), 429, "writes as well");
    assert_eq!(bench.outcome("http://shop-02.localhost/products/7").await, "miss", "another shop");

    let (_, _, stats) = bench.get("/stats").await;
    let noisy = &stats["tenants"][0];
    assert_eq!((&noisy["tenant"], &noisy["plan"]), (&json!("shop-01"), &json!("standard")), "{stats}");
    assert_eq!((&noisy["operations"], &noisy["refused_operations"]), (&json!(20), &json!(2)), "{stats}");
    bench.clock.advance(Duration::from_secs(1));
    assert_eq!(bench.get("/products/1020").await.0, StatusCode::NOT_FOUND, "there is room again");
}

#[tokio::test]
async fn what_the_store_keeps_of_a_shop_opens_under_its_own_key_only() {
    let bench = Bench::new().await;
    let (_, _, first) = bench.get("/products/7").await;
    let Kept::Memory(store) = &bench.app.caches.store else { panic!("it is in memory") };
    let bare = ErasedService::new(store.clone());
    let [of_first, of_second] = [1, 2].map(|shop| bench.app.caches.of(Shop(shop)).products.address("7").unwrap());
    let found = Get::output(bare.dispatch(Get::one(of_first)).await.unwrap()).unwrap().into_one();
    let Some(Ok(Lookup::Hit(entry))) = found else { panic!("it is held: {found:?}") };
    let name = first["name"].as_str().unwrap();
    for plain in [name, "price_cents"] {
        assert!(!entry.value.windows(plain.len()).any(|part| part == plain.as_bytes()), "{plain}");
    }

    let mut moved = NewEntry::new(entry.value, Lifetime::new(Duration::from_secs(600)).unwrap());
    moved.content = entry.meta.content;
    bare.dispatch(Set::one(of_second, moved)).await.unwrap();
    let (_, cache, second) = bench.get("http://shop-02.localhost/products/7").await;
    assert_eq!(cache, "miss");
    assert_eq!(second, bench.get("http://shop-02.localhost/uncached/products/7").await.2);
    assert!(bench.app.caches.keys.seal.stats().rejected() > 0);
}
