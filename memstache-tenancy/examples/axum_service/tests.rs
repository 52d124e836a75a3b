//! Two shops, over a socket.

use std::net::SocketAddr;

use http::{Request, Response};

use super::*;
use crate::client::send;

async fn started() -> (SocketAddr, Arc<Catalogue>) {
    let catalogue = Arc::new(Catalogue::with_examples());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = app(Arc::clone(&catalogue)).unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    (address, catalogue)
}

async fn get(address: SocketAddr, host: &str, path: &str) -> Response<String> {
    send(address, Request::get(path).header("host", host).body("").unwrap()).await
}

#[tokio::test]
async fn shops_do_not_see_each_others_products() {
    let (address, catalogue) = started().await;
    for _ in 0..3 {
        let acme = get(address, "acme.localhost:3000", "/products/tea").await;
        assert_eq!((acme.status().as_u16(), acme.body().as_str()), (200, r#"{"name":"acme's tea","cents":349}"#));
        let umbrella = get(address, "Umbrella.LOCALHOST.", "/products/tea").await;
        assert_eq!(umbrella.body(), r#"{"name":"umbrella's tea","cents":499}"#);
    }
    assert_eq!(catalogue.reads(), 2, "one load for each shop");

    // What one shop writes is another's neither to see nor to lose.
    let write =
        Request::put("/products/tea").header("host", "acme.localhost").header("content-type", "application/json");
    let written = send(address, write.body(r#"{"name":"green tea","cents":399}"#).unwrap()).await;
    assert_eq!(written.status(), 204);
    assert_eq!(get(address, "acme.localhost", "/products/tea").await.body(), r#"{"name":"green tea","cents":399}"#);
    assert_eq!(
        get(address, "umbrella.localhost", "/products/tea").await.body(),
        r#"{"name":"umbrella's tea","cents":499}"#
    );
    assert_eq!(catalogue.reads(), 3, "the other shop's value stayed");
    assert_eq!(get(address, "umbrella.localhost", "/products/coffee").await.status(), 404);
}

#[tokio::test]
async fn who_is_no_shop_is_refused() {
    let (address, catalogue) = started().await;
    for (host, status) in [("localhost", 400), ("initech.localhost", 403), ("a.b.localhost", 400)] {
        let refused = get(address, host, "/products/tea").await;
        assert_eq!(refused.status(), status, "{host}");
        assert_eq!(refused.headers()["content-type"], "application/problem+json");
        assert_eq!(refused.headers()["cache-control"], "no-store");
    }
    assert_eq!(get(address, "localhost", "/healthz").await.body(), "ok");
    assert_eq!(catalogue.reads(), 0);
}
